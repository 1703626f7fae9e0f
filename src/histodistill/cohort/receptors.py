"""The receptors measured in every breast cancer: how columns call them, and their genes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Receptor:
    """A receptor that is measured in every breast cancer.

    Attributes:
        name: The target's name.
        names: Words that its column has, any of these sets.
        gene: The gene that encodes it.
        ensembl: The same gene at Ensembl.
        followers: Other genes whose expression follows it closely.
    """

    name: str
    names: tuple[frozenset[str], ...]
    gene: str
    ensembl: str
    followers: tuple[str, ...] = ()


def _words(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(name.split()) for name in names)


# Over TCGA-BRCA, z-scores of RSEM against immunohistochemistry: GATA3 tells ER with AUC .93 (460
# patients), IL6ST PR with .85 (458), ERBB2 HER2 with .94 (456).
RECEPTORS = (
    Receptor(
        "ER",
        _words("er", "estrogen receptor", "oestrogen receptor", "esr1"),
        "ESR1",
        "ENSG00000091831",
        ("GATA3", "FOXA1"),
    ),
    Receptor(
        "PR",
        _words("pr", "pgr", "progesterone receptor"),
        "PGR",
        "ENSG00000082175",
        ("IL6ST",),
    ),
    Receptor(
        "HER2", _words("her2", "her2neu", "erbb2"), "ERBB2", "ENSG00000141736", ("GRB7", "STARD3")
    ),
)


def name_words(column: str) -> list[str]:
    """The words of a column's name, in lower case."""
    apart = re.sub(r"(status|receptor)", r" \1 ", column.lower())
    return re.findall(r"[a-z]+\d*|\d+", apart)


def receptors_of(names: Iterable[str]) -> Iterator[Receptor]:
    """The receptors that any of some names (a target's, its column's) speaks of."""
    words = [set(name_words(name)) for name in names]
    for receptor in RECEPTORS:
        if any(wanted <= found for wanted in receptor.names for found in words):
            yield receptor
