"""``SHA256SUMS``: the hash of every file of a bundle, as ``sha256sum --check`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from histodistill.errors import InputError
from histodistill.files import sha256, write_text
from histodistill.gate.plain import MB, content, require_regular

CHECKSUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


def write_checksums(folder: Path) -> None:
    """Hash all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}" for path in files]
    write_text(folder / CHECKSUMS, "\n".join(lines) + "\n")


def read_checksums(folder: Path) -> dict[str, str]:
    """The recorded hash of each file.

    Raises:
        InputError: The list is absent or damaged.
    """
    path = folder / CHECKSUMS
    try:
        lines = content(path, most=MB).decode("utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: missing; the bundle is not whole, copy it again") from None
    except UnicodeDecodeError:
        lines = [""]
    entries = [_LINE.fullmatch(line) for line in lines]
    found = {entry[2]: entry[1] for entry in entries if entry is not None}
    if not found or len(found) != len(lines):
        raise InputError(f"{path}: damaged; copy the bundle again")
    return found


def damages(folder: Path, recorded: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each file that is missing, or not what was written."""
    for name, digest in recorded.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            yield f"{folder}: its checksums name a file outside it, {name}; copy the bundle again"
        elif not path.exists():
            yield f"{path}: missing; the bundle is not whole, copy it again"
        else:
            yield from _changed(path, digest)


def _changed(path: Path, digest: str) -> Iterator[str]:
    try:
        require_regular(path)
    except IsADirectoryError:
        yield f"{path}: is a folder, not a file; copy the bundle again"
        return
    except InputError as error:
        yield from error.problems
        return
    if sha256(path) != digest:
        yield f"{path}: damaged: its content changed; copy it again"
