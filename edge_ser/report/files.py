"""Where a file may be written, and writing it whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_ser.errors import MissingPathError, UsageError
from edge_ser.replacement import replacement
from edge_ser.report.pdf import find_browser, print_pdf

_PAGES = (".html", ".htm", ".pdf")


def check_output_path(path: Path) -> None:
    """Refuse a path that no file can be written to, before the work that it would tell of.

    Args:
        path: of the file.

    Raises:
        MissingPathError: its folder, or that of the file which a link names, is not there.
        UsageError: it is a directory; or it ends in `.pdf`, and nothing here prints one.
    """
    if path.suffix.lower() == ".pdf":
        find_browser()
    try:
        if path.is_dir():
            raise UsageError(path, expected="a file to write", found="a directory")
        place = _resolved(path)
        for folder in (path.parent, place.parent):
            if not folder.is_dir():
                raise MissingPathError(
                    path,
                    expected="an existing folder",
                    found=f"no folder {folder}",
                    advice="make it first",
                )
        _status(path)
    except OSError as error:
        if isinstance(error, MissingPathError):
            raise
        raise _unwritable(path, error) from error


def check_page_path(path: Path) -> None:
    """Refuse a path that no page can be written to; see `check_output_path`.

    Raises:
        MissingPathError: its folder is not there.
        UsageError: it ends in neither `.html` nor `.pdf`, or cannot be written.
    """
    check_output_path(path)
    if path.suffix.lower() not in _PAGES:
        raise UsageError(
            path, expected="a name that ends in .html or .pdf", found=path.suffix or "no ending"
        )


def write_page(path: Path, html: str) -> None:
    """Write a page as HTML, or as PDF where the path ends in `.pdf`.

    Raises:
        UsageError: the file cannot be written, or nothing prints a PDF.
    """
    write_whole(path, print_pdf(html) if path.suffix.lower() == ".pdf" else html)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file; what is at `path` is replaced when the new content is complete.

    A link stays, and the file that it names is replaced. A file keeps its permissions, a new one
    has those that the process gives. A pipe or a device is written to as it is.

    Args:
        path: of the file.
        content: text, written as UTF-8, or bytes.

    Raises:
        UsageError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        status_before = _status(path)
        if status_before is None or stat.S_ISREG(status_before.st_mode):
            mode = None if status_before is None else stat.S_IMODE(status_before.st_mode)
            with replacement(_resolved(path), mode) as work:
                work.write_bytes(data)
        else:
            path.write_bytes(data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _status(path: Path) -> os.stat_result | None:
    """Of what is there, links followed; None: nothing."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _resolved(path: Path) -> Path:
    """Without links; `Path.resolve` has an error of its own kind for links in a circle."""
    return Path(os.path.realpath(path))


def _unwritable(path: Path, error: OSError) -> UsageError:
    found = error.strerror or str(error)
    return UsageError(path, expected="a file that can be written", found=found)
