"""What results were when they were written: ``finished.json`` beside them, written last of all.

A table that was cut at the end of a line, or edited, looks whole. Its record tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from histodistill.files import sha256, write_json

FINISHED = "finished.json"


def begin(folder: Path) -> None:
    """What was finished in a folder is about to be replaced."""
    (folder / FINISHED).unlink(missing_ok=True)


def finish(folder: Path, names: Iterable[str]) -> None:
    """Write down what results are; those that do not exist are passed over."""
    files = [folder / name for name in names]
    record = {
        file.name: {"lines": _lines(file), "sha256": sha256(file)}
        for file in files
        if file.exists()
    }
    write_json(folder / FINISHED, record)


def changes(folder: Path, remedy: str, only: str | None = None) -> Iterator[str]:
    """One sentence for each result that is not what was written when the folder was finished.

    Args:
        folder: A folder; one without a record has no changes.
        remedy: What the user can do, the end of each sentence.
        only: The one file that is asked about; by default all that were recorded.
    """
    path = folder / FINISHED
    if not path.exists():
        return
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        written = {name: (entry["lines"], entry["sha256"]) for name, entry in record.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"{path}: is damaged; {remedy}"
        return
    for name, (lines, digest) in written.items():
        if only in (None, name):
            yield from _change(folder / name, lines, digest, remedy)


def _change(file: Path, lines: int, digest: str, remedy: str) -> Iterator[str]:
    if not file.exists():
        yield f"{file}: is missing, and was there when this was finished; {remedy}"
    elif not file.is_file():  # a pipe would never end
        yield f"{file}: is no ordinary file; {remedy}"
    elif sha256(file) != digest:
        yield (
            f"{file}: has changed since it was written: {_lines(file)} lines now, {lines} then; "
            f"{remedy}"
        )


def _lines(file: Path) -> int:
    """Lines of a text file, however it is encoded."""
    with file.open("rb") as stream:
        return sum(1 for _ in stream)
