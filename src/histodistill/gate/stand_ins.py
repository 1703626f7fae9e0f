"""What lies where a file was not fetched: a pointer of Git LFS, or a web page that said why."""

from __future__ import annotations

from pathlib import Path

from histodistill.errors import InputError

# So much of a file tells.
HEAD_BYTES = 256
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"/annex/objects/")
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<table")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def require_fetched(path: Path, head: bytes) -> None:
    """Refuse what stands for a file that was never downloaded.

    Args:
        path: The file.
        head: Its first bytes.

    Raises:
        InputError: It is a pointer of Git LFS or git-annex, or a web page.
    """
    start = head[:HEAD_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip().lower()
    if start.startswith(_POINTERS):
        raise InputError(
            f"{path}: is a pointer to the file, not the file; fetch it (`git lfs pull`, or "
            "`git annex get`)"
        )
    if start.startswith(_PAGES):
        raise InputError(
            f"{path}: is a web page, such as servers send instead of a file when a login or a "
            "link has run out; open it in a browser, and download the file again"
        )
