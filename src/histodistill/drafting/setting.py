"""A setting of the draft, and why it is as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One key of the YAML file.

    Attributes:
        key: The key.
        value: Its value, or the settings below it.
        why: Sentences above it.
        decide: What a person must decide before the experiment runs as meant; sentences above it.
        instead: Lines of YAML below it, commented out, that somebody may want.
    """

    key: str
    value: Any
    why: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

    @property
    def below(self) -> tuple[Setting, ...]:
        """The settings below this one; none where its value is plain."""
        nested = isinstance(self.value, tuple) and all(isinstance(v, Setting) for v in self.value)
        return self.value if nested else ()


def plain(settings: Sequence[Setting]) -> dict[str, Any]:
    """The settings as a reader of the YAML file gets them."""
    return {s.key: plain(s.below) if s.below else s.value for s in settings}


def decisions(settings: Sequence[Setting]) -> Iterator[str]:
    """Everything that a person must decide, from the top down."""
    for setting in settings:
        yield from setting.decide
        yield from decisions(setting.below)
