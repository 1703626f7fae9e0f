"""One picture of the package's rooms, drawn from the import contracts and the rooms' docstrings."""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "histodistill"

WIDTH, MARGIN, GAP, LINE = 1000, 16, 8, 17
# Of the picture's font, in pixels; wide enough for most sentences.
_LETTER = 6.4


@dataclass(frozen=True)
class Floor:
    """Rooms that know what lies below them, and not each other.

    Attributes:
        rooms: Dotted names.
        within: The room whose inside this is; empty for the house itself.
    """

    rooms: tuple[str, ...]
    within: str = ""


def floors() -> list[Floor]:
    """The floors from the top down, as the contracts of ``pyproject.toml`` order them.

    A room whose own inside has a contract is shown with that inside below it.
    """
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [c for c in told["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    insides = {place: c["layers"] for c in contracts for place in c.get("containers", ())}
    (house,) = (c["layers"] for c in contracts if "containers" not in c)
    found = []
    for layer in house:
        rooms = _beside(layer)
        found.append(Floor(rooms))
        for room in rooms:
            found += [
                Floor(tuple(f"{room}.{name}" for name in _beside(inside)), room)
                for inside in insides.get(room, ())
            ]
    return found


def _beside(layer: str) -> tuple[str, ...]:
    """Rooms on one floor: apart (``|``), or allowed to know each other (``:``)."""
    return tuple(room.strip() for room in re.split("[|:]", layer))


def purpose(room: str) -> str:
    """The first sentence of a room's docstring."""
    place = ROOT / "src" / Path(*room.split("."))
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    told = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return told.split("\n\n")[0].replace("\n", " ").replace("`", "").rstrip(".")


def rooms_picture() -> str:
    """The picture, as SVG."""
    parts: list[str] = []
    top = MARGIN
    for floor in floors():
        height = _height(floor)
        parts += _drawn(floor, top, height)
        top += height + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + MARGIN}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{top + MARGIN}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _box_width(floor: Floor) -> float:
    inset = MARGIN * (3 if floor.within else 1)
    return (WIDTH - 2 * inset - GAP * (len(floor.rooms) - 1)) / len(floor.rooms)


def _lines(room: str, width: float) -> Sequence[str]:
    return textwrap.wrap(purpose(room), max(8, int((width - 16) / _LETTER)))


def _height(floor: Floor) -> int:
    width = _box_width(floor)
    return LINE * (1 + max(len(_lines(room, width)) for room in floor.rooms)) + 12


def _drawn(floor: Floor, top: int, height: int) -> Iterator[str]:
    width = _box_width(floor)
    left = MARGIN * (3 if floor.within else 1)
    fill = "#fdf3df" if floor.within else "#e8f0f8"
    for place, room in enumerate(floor.rooms):
        x = left + place * (width + GAP)
        yield (
            f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" rx="5" '
            f'fill="{fill}" stroke="#5b7083"/>'
        )
        name = escape(room.removeprefix(f"{PACKAGE}."))
        yield f'<text x="{x + 8:.1f}" y="{top + LINE}" font-weight="bold">{name}</text>'
        for row, line in enumerate(_lines(room, width), start=2):
            yield f'<text x="{x + 8:.1f}" y="{top + LINE * row}">{escape(line)}</text>'
