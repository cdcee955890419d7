"""Where a file may be written, and writing it whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edge_ser.errors import MissingPathError, UsageError
from edge_ser.report.pdf import find_browser, print_pdf


def check_output_path(path: Path, bundle: Path | None = None) -> None:
    """Refuse a path that no file can be written to, before the work that it would tell of.

    Args:
        path: of the file.
        bundle: directory or .zip that it is about; None: there is none.

    Raises:
        MissingPathError: its folder is not there.
        UsageError: it is a directory, or a place in the bundle; or it ends in `.pdf`, and nothing
            here prints one.
    """
    if path.suffix.lower() == ".pdf":
        find_browser()
    try:
        if path.is_dir():
            raise UsageError(path, expected="a file to write", found="a directory")
        if not path.parent.is_dir():
            raise MissingPathError(
                path,
                expected="an existing folder",
                found=f"no folder {path.parent}",
                advice="make it first",
            )
        place, kept = path.resolve(), None if bundle is None else bundle.resolve()
    except OSError as error:
        if isinstance(error, MissingPathError):
            raise
        raise _unwritable(path, error) from error
    if kept is not None and (place == kept or kept in place.parents):
        raise UsageError(path, expected="a file outside the bundle", found="one of the bundle")


def write_page(path: Path, html: str) -> None:
    """Write a page as HTML, or as PDF where the path ends in `.pdf`.

    Raises:
        UsageError: the file cannot be written, or nothing prints a PDF.
    """
    write_whole(path, print_pdf(html) if path.suffix.lower() == ".pdf" else html)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file; what is at `path` is replaced when the new content is complete.

    Args:
        path: of the file.
        content: text, written as UTF-8, or bytes.

    Raises:
        UsageError: the file cannot be written.
    """
    work = None
    try:
        with tempfile.NamedTemporaryFile(
            "wb", dir=path.parent, prefix=".edge-ser-", delete=False
        ) as file:
            work = Path(file.name)
            file.write(content.encode() if isinstance(content, str) else content)
        # such files are made for their owner only, which would follow the page to where others read
        work.chmod(0o644)
        os.replace(work, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if work is not None:
            work.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UsageError:
    found = error.strerror or str(error)
    return UsageError(path, expected="a file that can be written", found=found)
