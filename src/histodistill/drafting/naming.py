"""How the names of slides and of samples tell their patients."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

_SEPARATORS = ("_", "-", ".", " ")
_MOST_PIECES = 5


@dataclass(frozen=True)
class Naming:
    """What was found about some names.

    Attributes:
        pattern: The regular expression whose first group is the patient; None where names are
            read rightly without one.
        matched: The names that tell a known patient, in order.
    """

    pattern: str | None
    matched: tuple[str, ...]


def naming_of(
    names: Sequence[str], patients: Collection[str], usual: Callable[[str], str | None]
) -> Naming:
    """How most of the names tell a known patient.

    Args:
        names: Names of slides (without a suffix) or of samples.
        patients: The known patients.
        usual: The patient that is read from a name where no pattern is given.

    Returns:
        The usual reading where it does as well as any pattern; ``matched`` is empty where neither
        finds anybody.
    """
    known = frozenset(patients)
    best = Naming(None, tuple(name for name in names if usual(name) in known))
    for pattern in _patterns():
        expression = re.compile(pattern)
        found = ((name, expression.search(name)) for name in names)
        matched = tuple(name for name, match in found if match and match[1] in known)
        if len(matched) > len(best.matched):
            best = Naming(pattern, matched)
    return best


def _patterns() -> Iterator[str]:
    """The whole name, then its first pieces, the fewest first."""
    yield "^(.+)$"
    for more in range(_MOST_PIECES):
        for separator in _SEPARATORS:
            cut = re.escape(separator) if separator == "." else separator
            piece = f"[^{separator}]++"  # gives nothing back, so that no name takes long
            pieces = piece + (f"(?:{cut}{piece}){{{more}}}" if more else "")
            yield f"^({pieces})(?:{cut}|$)"
