"""The layouts of feature files that settings choose by name, and what each declares.

Nothing here imports PyTorch, and neither does a layout before it is asked for patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from histodistill.errors import InputError
from histodistill.registry import Declaration, Registry

if TYPE_CHECKING:
    from histodistill.features.layouts.base import FeatureLayout

AUTO = "auto"
_PLACES = ("within", "beside", "none")


@dataclass(frozen=True)
class LayoutDeclaration(Declaration):
    """What a layout says of its files, before any of them is opened.

    Attributes:
        suffixes: What its files end in, in lower case, the usual one first.
        starts: Bytes that its files begin with, one of them; empty for any.
        beside: Patterns of files that it writes beside its features and that hold none, matched
            from the right as ``Path.match`` does.
        coordinates: Where the coordinates of the patches are. Of a slide that lies in several
            files, those that hold the coordinates themselves are read.
        asked_last: It reads any file of its container, so more particular layouts are asked first.
    """

    suffixes: tuple[str, ...] = ()
    starts: tuple[bytes, ...] = ()
    beside: tuple[str, ...] = ()
    coordinates: Literal["within", "beside", "none"] = "none"
    asked_last: bool = False


LAYOUTS: Registry[type[FeatureLayout], LayoutDeclaration] = Registry(
    "LAYOUTS",
    "feature layout",
    LayoutDeclaration,
    room="histodistill.features.layouts",
    group="histodistill.feature_layouts",
    base="histodistill.features.layouts.base:FeatureLayout",
)


def checked_layout(name: str) -> str:
    """``auto``, or the name of a layout, or an import path; nothing is imported.

    Raises:
        ValueError: It is none of them.
    """
    return name if name == AUTO else LAYOUTS.check(name)


def layout_facts(layout: str = AUTO) -> tuple[LayoutDeclaration, ...]:
    """What a layout declares; for ``auto`` what all do, in the order in which they are asked.

    Raises:
        InputError: The layout cannot be imported, is none, or declares no suffix.
    """
    names = LAYOUTS.names() if layout == AUTO else (layout,)
    declared = sorted((LAYOUTS.facts(name) for name in names), key=lambda each: each.asked_last)
    for each in declared:
        if not each.suffixes:
            raise InputError(
                f"feature layout `{each.name}` declares no suffixes, so no file is known to be "
                'its own; write @LAYOUTS.declare(..., suffixes=(".xyz",)) above the class'
            )
    return tuple(declared)


def feature_suffixes(layout: str = AUTO) -> tuple[str, ...]:
    """What feature files end in; first those that hold their coordinates themselves."""
    by_place = sorted(layout_facts(layout), key=lambda each: _PLACES.index(each.coordinates))
    return tuple(dict.fromkeys(suffix for each in by_place for suffix in each.suffixes))


def companion_patterns(layout: str = AUTO) -> tuple[str, ...]:
    """Patterns of files that lie beside features and hold none, whatever they end in."""
    return tuple(dict.fromkeys(_patterns(layout)))


def _patterns(layout: str) -> Iterator[str]:
    for each in layout_facts(layout):
        yield from each.beside
