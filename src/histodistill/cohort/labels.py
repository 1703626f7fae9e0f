"""From the cells of a target's column to labels, as the sources write them."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from histodistill.cohort.targets import Target
from histodistill.errors import listed
from histodistill.tables import same_value
from histodistill.tables.cells import counts, is_missing

# Words that sources use for the two classes of most markers.
POSITIVE_WORDS = frozenset(
    {"pos", "positive", "+", "1", "yes", "y", "true", "t", "amplified", "mut", "p"}
    # Of other languages, and as pathologists write it for short.
    | {"positiv", "positif", "positivo", "pozitif", "pos.", "detected", "present"}
    | {"ja", "oui", "sí", "er+", "pr+", "pgr+", "her2+"}
)
NEGATIVE_WORDS = frozenset(
    {"neg", "negative", "-", "0", "no", "n", "false", "f", "not amplified", "wt"}
    | {"negativ", "négatif", "negatif", "negativo", "neg.", "nein", "non"}
    | {"er-", "pr-", "pgr-", "her2-", "not detected", "absent"}
)
# Beside the name of a class these make another of it: "low positive", "not positive".
_QUALIFIERS = frozenset({"not", "no", "non", "low", "weak", "weakly", "borderline", "or"})


@dataclass(frozen=True)
class Spelling:
    """How the user says what cells mean.

    Attributes:
        of_map: What is called the map of a target, by the target's name.
        recipe: What to write for cells that mean a class, or None, in a target's map.
    """

    of_map: Callable[[str], str]
    recipe: Callable[[str, Mapping[str, str | None]], str]


def _in_yaml(target: str, meanings: Mapping[str, str | None]) -> str:
    written = yaml.safe_dump(
        {"map": dict(meanings)}, default_flow_style=True, width=float("inf"), allow_unicode=True
    )
    return f"below `targets: {target}` write `{written.strip()[1:-1]}` (null: unknown)"


def _in_options(_: str, meanings: Mapping[str, str | None]) -> str:
    words = (shlex.quote(f"{cell}={meaning or ''}") for cell, meaning in meanings.items())
    return f"give `{' '.join(f'--map {word}' for word in words)}` (nothing after =: unknown)"


BY_SETTINGS = Spelling(lambda target: f"`map` of target '{target}'", _in_yaml)
BY_OPTIONS = Spelling(lambda _: "`--map`", _in_options)


def read_labels(
    cells: pd.Series[str],
    target: Target,
    path: Path,
    notes: list[str],
    problems: list[str],
    spelled: Spelling = BY_SETTINGS,
) -> pd.Series[int]:
    """The position of each cell's class, ``Int64``; ``<NA>`` where nothing is known.

    What the target's ``map`` says goes first; then a class in any case (``Positive``, ``1.0``
    for ``1``); then the codes for "not known". Whatever was not written as a class is told.

    Args:
        cells: Texts by patient, NaN where empty.
        target: The target.
        path: The file that sentences name.
        notes: Takes what was read as something else, with counts.
        problems: Takes cells that mean none of this, with a recipe, and parts of ``map`` that no
            cell has.
        spelled: How the user says what cells mean.
    """
    values = [str(value) for value in cells.dropna().unique()]
    meanings = _Meanings(target, signs="+" in values)
    strange = cells[cells.notna() & ~cells.isin([v for v in values if meanings.knows(v)])]
    if len(strange):
        problems.append(_strange(strange, target, path, spelled))
    unused = [key for key in target.map if key not in map(meanings.key_of, values)]
    if unused and values:
        problems.append(
            f"{path}: {spelled.of_map(target.name)} names {_quoted(unused)}, which no cell of "
            f"column '{target.column}' holds; correct the spelling or take it out."
        )
    notes += _notes(cells, target, meanings, path)
    names = {value: meanings.of(value) for value in values if meanings.knows(value)}
    positions = {v: target.classes.index(c) for v, c in names.items() if c is not None}
    return cells.map(positions).astype("Int64")


class _Meanings:
    """What a cell means for one target; a minus is no code for "not known" beside a plus."""

    def __init__(self, target: Target, *, signs: bool) -> None:
        self._signs = signs
        self._map = target.map
        self._classes = target.classes
        self._keys = _by_spelling(tuple(target.map))
        self._names = _by_spelling(target.classes)

    def key_of(self, cell: str) -> str | None:
        """The key of the target's ``map`` that a cell is."""
        return cell if cell in self._map else self._keys.get(same_value(cell))

    def class_of(self, cell: str) -> str | None:
        """The class that a cell is, in any case."""
        return cell if cell in self._classes else self._names.get(same_value(cell))

    def knows(self, cell: str) -> bool:
        """Whether a cell says a class, or that nothing is known."""
        missing = is_missing(cell) and not (self._signs and cell == "-")
        return bool(self.key_of(cell) or self.class_of(cell) or missing)

    def of(self, cell: str) -> str | None:
        """The class of a cell; None where nothing is known."""
        key = self.key_of(cell)
        return self._map[key] if key is not None else self.class_of(cell)


def _by_spelling(names: tuple[str, ...]) -> dict[str, str]:
    """The names that no other one equals in another case, by :func:`same_value`."""
    alike = defaultdict(list)
    for name in names:
        alike[same_value(name)].append(name)
    return {spelling: found[0] for spelling, found in alike.items() if len(found) == 1}


def _notes(cells: pd.Series[str], target: Target, meanings: _Meanings, path: Path) -> list[str]:
    told = []
    meant = {str(value): meanings.of(str(value)) for value in cells.dropna().unique()}
    for name in target.classes:
        other = cells[cells.isin([v for v, c in meant.items() if c == name and v != name])]
        if len(other):
            told.append(f"{path}: column '{target.column}': {counts(other)} read as '{name}'.")
    known = [value for value, name in meant.items() if name is None and meanings.knows(value)]
    codes = cells[cells.isin(known)]
    if len(codes):
        told.append(f"{path}: column '{target.column}': {counts(codes)} count as unknown.")
    return told


def _strange(strange: pd.Series[str], target: Target, path: Path, spelled: Spelling) -> str:
    guesses = {value: _guess(value, target.classes) for value in sorted(strange.unique())}
    return (
        f"{path}: column '{target.column}' holds values that are not among the classes of target "
        f"'{target.name}' ({', '.join(target.classes)}): {by_value(strange)}; correct them, or "
        f"say what they mean: {spelled.recipe(target.name, guesses)}."
    )


def _guess(value: str, classes: tuple[str, ...]) -> str | None:
    """The one class whose name a value abbreviates, says in another word or adds something to."""
    spelling = same_value(value)
    for words in (POSITIVE_WORDS, NEGATIVE_WORDS):
        of_these = [name for name in classes if same_value(name) in words]
        if spelling in words and len(of_these) == 1:
            return of_these[0]
    begun = [name for name in classes if same_value(name).startswith(spelling)]
    if begun:
        return begun[0] if len(begun) == 1 and len(spelling) > 1 else None
    named = [name for name in classes if _adds_to(spelling, same_value(name))]
    named = named or [name for name in classes if _names(spelling, same_value(name))]
    return named[0] if len(named) == 1 else None


def _adds_to(spelling: str, name: str) -> bool:
    """Whether a value is a class with a remark in brackets, as in ``positive (10%)``."""
    return re.fullmatch(rf"{re.escape(name)}\s*[(\[,;:].*", spelling) is not None


def _names(spelling: str, name: str) -> bool:
    """Whether a class stands among the words of a value: ``er positive``, ``1:positive``."""
    words = re.findall(r"[^\W\d_]+", spelling)
    return name in words and _QUALIFIERS.isdisjoint(words)


def by_value(values: pd.Series[str]) -> str:
    """Each value with the patients who have it."""
    return "; ".join(
        f"'{value}' ({listed(list(dict.fromkeys(str(patient) for patient in found.index)))})"
        for value, found in values.groupby(values)
    )


def _quoted(names: list[str]) -> str:
    return listed([f"'{name}'" for name in names])
