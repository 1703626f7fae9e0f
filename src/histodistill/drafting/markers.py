"""Which columns hold the status of ER, PR and HER2, and what their cells say.

The names are those of cBioPortal (``ER_STATUS_BY_IHC``, ``IHC_HER2``), TCGA's own files and the
GDC (``er_status_by_ihc``, ``breast_carcinoma_estrogen_receptor_status``), Xena
(``ER_Status_nature2012``), METABRIC (``ER_IHC``), and of plain tables (``ER``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from histodistill.cohort import Target, declared_target
from histodistill.cohort.labels import NEGATIVE_WORDS, POSITIVE_WORDS
from histodistill.cohort.receptors import RECEPTORS, Receptor, name_words
from histodistill.errors import listed
from histodistill.tables import same_value
from histodistill.tables.cells import counts, is_missing

NEGATIVE, POSITIVE = CLASSES = ("negative", "positive")

# What a pathologist writes who cannot tell.
_UNCERTAIN = frozenset(
    {"equivocal", "indeterminate", "borderline", "inconclusive", "undetermined", "not determined"}
)
# Grades of HER2 immunohistochemistry (ASCO/CAP 2018): 2+ is settled by in situ hybridisation.
_HER2_GRADES = {
    **dict.fromkeys(("0", "1", "1+"), NEGATIVE),
    **dict.fromkeys(("2", "2+"), None),
    **dict.fromkeys(("3", "3+"), POSITIVE),
}
# Words of columns that hold something beside the status of the primary tumour by IHC.
_BESIDE = frozenset(
    {"metastatic", "metastasis", "recurrence", "percent", "percentage", "level", "cell", "fish"}
    | {"ish", "hybrid", "situ", "method", "score", "scale", "intensity", "copy", "snp", "ratio"}
    | {"snp6", "cent17", "chromosome", "finding", "other", "expr", "gene", "mrna", "procedure"}
)


@dataclass(frozen=True)
class FoundTarget:
    """A column that says a status.

    Attributes:
        target: The target, as the experiment would declare it.
        doubts: How cells were read that leave room for doubt, in sentences.
        others: Other columns that seem to hold the same marker.
    """

    target: Target
    doubts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def find_markers(table: pd.DataFrame) -> Iterator[FoundTarget]:
    """The markers of a clinical table, each in its likeliest column.

    Args:
        table: Cells of text, NaN where empty, a row a patient (or sample).
    """
    for marker in RECEPTORS:
        found = [
            (column, reading)
            for column in sorted(_columns_of(marker, table), key=_distance)
            if (reading := _read(table[column], graded=marker.name == "HER2")).is_status
        ]
        if not found:
            continue
        (column, reading), *others = found
        meanings = reading.map
        target = declared_target(marker.name, column, CLASSES, POSITIVE, meanings)
        yield FoundTarget(target, reading.doubts, tuple(name for name, _ in others))


def status_of(column: str, cells: pd.Series[str]) -> FoundTarget | None:
    """Any other column as a target, where its cells say positive and negative."""
    reading = _read(cells, graded=False)
    if not reading.is_status:
        return None
    target = declared_target(target_name(column), column, CLASSES, POSITIVE, reading.map)
    return FoundTarget(target, reading.doubts)


def target_name(column: str) -> str:
    """What a target of a column may be called: of its letters and digits, others replaced."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_.+-") else "_" for c in column)
    return name.lstrip("_.+-") or "target"


def _columns_of(marker: Receptor, table: pd.DataFrame) -> Iterator[str]:
    for column in map(str, table.columns):
        tokens = set(name_words(column))
        if any(words <= tokens for words in marker.names):
            yield column


def _distance(column: str) -> tuple[int, int]:
    """How far a column's name is from the plain status of the primary tumour."""
    tokens = name_words(column)
    return len(_BESIDE.intersection(tokens)), len(tokens)


@dataclass(frozen=True)
class _Reading:
    """What the cells of a column say.

    Attributes:
        map: Cells that say a class in another word, or nothing.
        known: Number of cells of each class.
        strange: Number of cells that say nothing known.
        doubts: Sentences.
    """

    map: dict[str, str | None]
    known: dict[str, int]
    strange: int
    doubts: tuple[str, ...]

    @property
    def is_status(self) -> bool:
        """Whether most of the cells say one of two classes, and both are said."""
        return min(self.known.values()) > 0 and self.strange <= sum(self.known.values())


def _read(cells: pd.Series[str], graded: bool) -> _Reading:
    """Read a column as a status.

    Args:
        cells: Texts, NaN where empty.
        graded: Whether cells may be grades of immunohistochemistry.
    """
    amounts = {str(value): int(n) for value, n in cells.value_counts().items()}
    spelt = {same_value(value) for value in amounts}
    grades = _HER2_GRADES if graded and spelt & {"1+", "2+", "3+", "2", "3"} else {}
    meanings: dict[str, str | None] = {}
    known = dict.fromkeys(CLASSES, 0)
    guessed, unclear = [], []
    for value, amount in amounts.items():
        spelling = same_value(value)
        if is_missing(value) and not (spelling == "-" and "+" in spelt):
            continue
        meaning, certain = _meaning(spelling, grades)
        if meaning is None and not certain:
            unclear.append(value)
        elif not certain:
            guessed.append(value)
        if meaning is not None:
            known[meaning] += amount
        if spelling not in CLASSES and spelling not in map(same_value, meanings):
            meanings[value] = meaning
    doubts = [*_doubts(cells, guessed, unclear), *_of_grades(bool(grades))]
    return _Reading(meanings, known, sum(amounts[value] for value in unclear), tuple(doubts))


def _meaning(spelling: str, grades: dict[str, str | None]) -> tuple[str | None, bool]:
    """The class that a cell says, None for none, and whether that is beyond doubt."""
    if spelling in grades:
        return grades[spelling], True
    if spelling in POSITIVE_WORDS or spelling in NEGATIVE_WORDS:
        return (POSITIVE if spelling in POSITIVE_WORDS else NEGATIVE), True
    if spelling in _UNCERTAIN:
        return None, True
    said = [name for name in CLASSES if re.search(rf"\b{name}\b", spelling)]
    return (said[0] if len(said) == 1 else None), False


def _doubts(cells: pd.Series[str], guessed: list[str], unclear: list[str]) -> Iterator[str]:
    if guessed:
        yield (
            f"column '{cells.name}': {counts(cells[cells.isin(guessed)])} were read by the word "
            "positive or negative in them; correct `map` where that is wrong."
        )
    if unclear:
        yield (
            f"column '{cells.name}': {counts(cells[cells.isin(unclear)])} count as unknown, since "
            "no class is recognised in them; write the class in `map`, or leave them unknown."
        )


def _of_grades(graded: bool) -> Iterator[str]:
    if graded:
        yield (
            "grades of HER2 were read as ASCO/CAP has them: 0 and 1+ negative, 3+ positive, 2+ "
            "unknown until in situ hybridisation tells; correct `map` where your table means "
            "something else."
        )


def gene_names_of(targets: list[str]) -> dict[str, tuple[str, str]]:
    """Symbol and Ensembl id of the genes that encode some targets, by target."""
    return {m.name: (m.gene, m.ensembl) for m in RECEPTORS if m.name in targets}


def told_others(found: FoundTarget) -> str | None:
    """A sentence about other columns of the same marker."""
    if not found.others:
        return None
    return f"Other columns of {found.target.name}: {listed(list(found.others), 6)}."
