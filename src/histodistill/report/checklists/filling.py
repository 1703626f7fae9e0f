"""Fills checklists with links to the sections of a page that answer their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import yaml
from pydantic import Field

from histodistill.settings import Settings

# Both are safe; that of the C library takes a tenth of the time, and is not everywhere.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Item(Settings):
    """An item of a guideline.

    Attributes:
        n: Its number in the source.
        what: What it asks for, in our words.
        answered_by: Topics, any of which answers it.
        yours: What is the author's even so; all of it where nothing answers.
    """

    n: str
    what: str
    answered_by: tuple[str, ...] = Field(default=(), alias="from")
    yours: str = ""


class Checklist(Settings):
    """A guideline and its items."""

    name: str
    source: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Topic:
    """What the run holds on a topic: a sentence, and the place of the page that has more."""

    said: str
    anchor: str


@dataclass(frozen=True)
class FilledItem:
    """An item: what the run says of it with its place, and what is the author's."""

    n: str
    what: str
    said: tuple[Topic, ...]
    yours: str

    @property
    def state(self) -> str:
        """``from this run``, ``in part``, or ``yours to write``."""
        if not self.said:
            return "yours to write"
        return "in part" if self.yours else "from this run"


@dataclass(frozen=True)
class Filled:
    """A checklist and its items, filled."""

    name: str
    source: str
    items: tuple[FilledItem, ...]

    @property
    def answered(self) -> int:
        """Items that the run answers, wholly or in part."""
        return sum(bool(item.said) for item in self.items)

    @property
    def whole(self) -> int:
        """Items that the run answers wholly."""
        return sum(item.state == "from this run" for item in self.items)


def checklists() -> tuple[Checklist, ...]:
    """All checklists, empty."""
    text = files("histodistill.report.checklists").joinpath("items.yaml").read_text("utf-8")
    return tuple(Checklist.model_validate(each) for each in yaml.load(text, _Loader))


def filled_checklists(topics: Mapping[str, Topic]) -> tuple[Filled, ...]:
    """The checklists, each item with the topics that answer it.

    Args:
        topics: What this page holds, by topic.
    """
    return tuple(
        Filled(own.name, own.source, tuple(_filled(item, topics) for item in own.items))
        for own in checklists()
    )


def _filled(item: Item, topics: Mapping[str, Topic]) -> FilledItem:
    said = tuple(topics[name] for name in item.answered_by if name in topics)
    return FilledItem(item.n, item.what, said, item.yours if said else item.yours or "all of it")
