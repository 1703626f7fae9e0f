"""The diagram of the cohort's flow: boxes from above to below, those left out at the side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

WIDTH = 300
SIDE = 300
GAP = 28
LINE = 17
_WORDS = 42


@dataclass(frozen=True)
class Box:
    """A box of the diagram, in CSS pixels.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Width.
        height: Height.
        lines: Text, line by line.
        out: Whether these patients are left out.
    """

    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]
    out: bool


@dataclass(frozen=True)
class Flow:
    """The diagram: its boxes, and its size."""

    boxes: tuple[Box, ...]
    width: int
    height: int


def flow_of(steps: pd.DataFrame) -> Flow:
    """Lay out the steps: first those of all targets, then each target's below them.

    Args:
        steps: As ``Evidence.flow``, in order; a row with a ``reason`` is left out there.
    """
    boxes: list[Box] = []
    y = 1
    for row in steps.to_dict("records"):
        out = bool(row["reason"])
        x = 1 + (WIDTH + GAP if out else 0)
        lines = _text(row)
        height = LINE * len(lines) + 14
        boxes.append(Box(x, y, SIDE if out else WIDTH, height, lines, out))
        y += height + (GAP // 2)
    return Flow(tuple(boxes), WIDTH + GAP + SIDE + 2, y)


def _text(row: dict[object, object]) -> tuple[str, ...]:
    target = f"{row['target']}: " if row["target"] else ""
    what = row["reason"] or row["step"]
    return _wrapped(f"{target}{row['patients']} {what}")


def _wrapped(text: str) -> tuple[str, ...]:
    lines: Sequence[str] = textwrap.wrap(text, _WORDS)
    return tuple(lines)
