"""A page as PDF, printed by the browser that is installed: Chromium, Chrome or Edge."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from edge_ser.errors import UsageError
from edge_ser.scratch import scratch_folder

# On PATH, then where installers of macOS and Windows put them.
_PROGRAMS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
_ADVICE = "write report.html instead and print it to PDF from any browser, or install Chromium"
_TIMEOUT_SECONDS = 120


def find_browser() -> str:
    """The program that prints.

    Raises:
        UsageError: there is none.
    """
    browser = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if browser is None:
        raise UsageError(
            "report as PDF",
            expected="Chromium, Chrome or Edge, which print it",
            found="none on this machine",
            advice=_ADVICE,
        )
    return browser


def print_pdf(html: str) -> bytes:
    """A page as PDF.

    Args:
        html: of the page, which loads nothing.

    Raises:
        UsageError: no browser, or it printed nothing.
    """
    browser = find_browser()
    with scratch_folder() as folder:
        page, printed = folder / "page.html", folder / "page.pdf"
        page.write_text(html, encoding="utf-8")
        try:
            process = subprocess.run(
                [browser, *_options(folder), f"--print-to-pdf={printed}", page.as_uri()],
                cwd=folder, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unprinted(browser, str(error)) from error
        content = printed.read_bytes() if printed.is_file() else b""
        if not content.startswith(b"%PDF-"):
            lines = process.stderr.decode(errors="replace").strip().splitlines()
            raise _unprinted(browser, lines[-1] if lines else f"exit code {process.returncode}")
        return content


def _options(folder: Path) -> list[str]:
    """No window, no profile of the user's, no network."""
    options = [
        "--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
    ]  # fmt: skip
    # its sandbox does not start for root; the page is ours, without scripts
    return [*options, "--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else options


def _unprinted(browser: str, found: str) -> UsageError:
    return UsageError(
        "report as PDF",
        expected=f"a page printed by {browser}",
        found=" ".join(found.split())[:200],
        advice=_ADVICE,
    )
