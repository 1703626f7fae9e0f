"""Functions are short enough to read at a glance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MOST = 60
# Commands that still do too much themselves.
LONGER = {"extract.py: command", "predict.py: command"}


def too_long(source: str) -> Iterator[str]:
    """Functions whose body, after the signature and the docstring, has more lines than that.

    The signature of a command is the list of its options, and a docstring is as long as it must.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > MOST:
                yield node.name


def test_what_is_counted() -> None:
    lines = "".join(f"    x = {n}\n" for n in range(MOST))
    head = 'def f(\n    a,\n    b,\n):\n    """Says\n\n    much.\n    """\n'
    assert list(too_long(head + lines)) == []
    assert list(too_long(head + lines + "    y = 0\n")) == ["f"]


@pytest.mark.parametrize("room", sorted(path.name for path in (SOURCE / "histodistill").iterdir()))
def test_no_function_is_longer_than_a_screen(room: str) -> None:
    place = SOURCE / "histodistill" / room
    files = place.rglob("*.py") if place.is_dir() else [place] if place.suffix == ".py" else []
    found = [f"{path.name}: {name}" for path in files for name in too_long(path.read_text("utf-8"))]
    assert set(found) <= LONGER
