"""How well slides predict programmes and genes: what may be drawn, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri, stdtr
from torch import Tensor

from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.preparation.predicted_genes import PredictedGenes

Floats = NDArray[np.float64]

LEVEL = 0.05
# Programmes of the members of an ensemble are the same where the cosine of their genes' weights
# is at least this, on average.
SAME = 0.7
# Genes that name a programme.
_NAMED = 6
_NONE = (
    "this bundle predicts no expression: only methods with `programmes` learn to, and those with a "
    "term of the loss that reads genes (`reconstruction`) and a student that weights and adds up "
    "patches, with 20 or more patients with slides and genomics to measure it on; bundles of "
    "earlier versions do not hold it; train such a method again"
)


@dataclass(frozen=True)
class Match:
    """Where a member of an ensemble has what the bundle calls by one name.

    Attributes:
        member: Index of the member.
        column: Index of its gene or programme.
        sign: -1 where its programme points the other way.
    """

    member: int
    column: int
    sign: float = 1.0


@dataclass(frozen=True)
class Predictable:
    """A programme or a gene that slides may tell of.

    Attributes:
        name: ``programme 1``, or ``block:gene``.
        kind: Which of the two.
        r: Pearson's correlation, over training patients, of what slides predict with what was
            measured, cross-validated, and within hospitals where they are known; the mean over
            the members.
        low: Lower limit of its 95 % interval (Fisher's z).
        high: Upper limit.
        q: p-value of r > 0 after Benjamini and Hochberg's correction for all genes, or for all
            programmes.
        n_patients: Patients that it was measured on.
        matches: The members that have it.
        agreement: Mean cosine of the gene weights of a programme with those of the same programme
            in the other members; 1 for a gene.
        genes: The genes that weigh most in a programme, with their direction.
        held_out: Whether it was measured on patients kept out of training, instead of by
            cross-validation among the training patients.
    """

    name: str
    kind: Literal["programme", "gene"]
    r: float
    low: float
    high: float
    q: float
    n_patients: int
    matches: tuple[Match, ...]
    agreement: float = 1.0
    genes: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def shown(self) -> bool:
        """Whether it may be drawn: above chance, and the same for all members."""
        return self.q < LEVEL and self.agreement >= SAME

    @property
    def named_genes(self) -> str:
        """The genes that weigh most in a programme, as they are shown: ``+ESR1, −KRT5``."""
        alone = len({gene[1:].partition(":")[0] for gene in self.genes}) == 1
        names = (gene[1:].partition(":")[2] if alone else gene[1:] for gene in self.genes)
        # A true minus, at which no line is broken.
        signs = ("−" if gene.startswith("-") else "+" for gene in self.genes)
        return ", ".join(sign + name for sign, name in zip(signs, names, strict=True))

    @property
    def sentence(self) -> str:
        """How well it is predicted."""
        return (
            f"r = {self.r:.2f} [{self.low:.2f} to {self.high:.2f}] over {self.n_patients} "
            f"{'validation patients' if self.held_out else 'training patients, cross-validated'}, "
            f"q = {self.q:.2g}"
        )


def predictable_genes(bundle: Bundle) -> list[Predictable]:
    """Every gene that the bundle reads, the best predicted first; none if it predicts none."""
    members = _members(bundle)
    places: dict[str, list[Match]] = {}
    for index, member in enumerate(members):
        for column, gene in enumerate(member.genes):
            places.setdefault(gene, []).append(Match(index, column))
    judged = _judged([member.gene_r for member in members], list(places.values()), members)
    n = _n_patients(members)
    found = [
        Predictable(gene, "gene", *figures, n, tuple(own), held_out=members[0].held_out)
        for (gene, own), figures in zip(places.items(), judged, strict=True)
    ]
    return sorted(found, key=lambda gene: -gene.r)


def predictable_programmes(bundle: Bundle) -> list[Predictable]:
    """The programmes of the bundle's first member, found again in the others."""
    members = _members(bundle)
    if not members:
        return []
    first = members[0]
    pairs = [_matched(first, member) for member in members]
    width = len(first.programme_r)
    others = [cosine for _, _, cosine in pairs[1:]]
    agreement = np.mean(others, axis=0) if others else np.ones(width)
    matches = [
        tuple(
            Match(index, int(columns[row]), float(signs[row]))
            for index, (columns, signs, _) in enumerate(pairs)
            if signs[row]
        )
        for row in range(width)
    ]
    judged = _judged([member.programme_r for member in members], matches, members)
    return [
        _programme(row, figures, matches[row], float(agreement[row]), members)
        for row, figures in enumerate(judged)
    ]


def require_shown(bundle: Bundle, names: Sequence[str]) -> list[Predictable]:
    """The genes of these names, if all may be drawn.

    Args:
        bundle: A trained model.
        names: ``block:gene``, or the gene alone where one block has it.

    Raises:
        InputError: The bundle predicts no expression; a gene is unknown, or not predicted above
            chance, with its figure.
    """
    if not names:
        return []
    known = {gene.name: gene for gene in predictable_genes(bundle)}
    if not known:
        raise InputError(_NONE)
    problems: list[str] = []
    found = [gene for name in names if (gene := _named(name, known, problems))]
    problems += [
        f"{gene.name} is not predicted from slides above chance and is not drawn: {gene.sentence}"
        for gene in found
        if not gene.shown
    ]
    if problems:
        raise InputError(*problems)
    return list(dict.fromkeys(found))


def predictability(bundle: Bundle) -> pd.DataFrame:
    """How well slides predict each programme and each gene, by cross-validation in training.

    Args:
        bundle: A trained model.

    Returns:
        A row a programme, then a row a gene, best first: ``name``, ``r``, ``low``, ``high``,
        ``q``, ``patients``, ``members``, ``agreement``, ``shown``, ``genes``. Empty where the
        bundle predicts no expression.
    """
    rows = [
        {
            "name": each.name,
            "r": each.r,
            "low": each.low,
            "high": each.high,
            "q": each.q,
            "patients": each.n_patients,
            "members": len(each.matches),
            "agreement": each.agreement,
            "shown": each.shown,
            "genes": " ".join(each.genes),
        }
        for each in (*predictable_programmes(bundle), *predictable_genes(bundle))
    ]
    return pd.DataFrame(rows)


def _named(name: str, known: dict[str, Predictable], problems: list[str]) -> Predictable | None:
    places = [full for full in known if name in (full, full.partition(":")[2])]
    if len(places) == 1:
        return known[places[0]]
    if places:
        problems.append(f"{name} is in several blocks: write {' or '.join(places)}")
    else:
        symbols = {full.partition(":")[2] for full in known}
        close = get_close_matches(name, symbols | known.keys(), n=3)
        meant = f"; did you mean {', '.join(close)}?" if close else ""
        problems.append(f"the bundle reads no gene {name}{meant}")
    return None


def _members(bundle: Bundle) -> list[PredictedGenes]:
    """What each member predicts; none where a member predicts nothing."""
    every = [m.transforms.programmes or m.transforms.expression for m in bundle.members]
    found = [each.genes for each in every if each is not None and each.genes is not None]
    return found if len(found) == len(every) else []


def _n_patients(members: Sequence[PredictedGenes]) -> int:
    return min((member.n_patients for member in members), default=0)


def _judged(
    found: Sequence[Tensor], matches: Sequence[Sequence[Match]], members: Sequence[PredictedGenes]
) -> Iterator[tuple[float, float, float, float]]:
    """Mean correlation of each match over the members, its interval and corrected p-value.

    Members overlap in their patients, so their mean counts as one of the smallest of them.
    """
    if not matches:
        return
    from scipy.stats import false_discovery_control  # slow to import, and seldom wanted

    n = min(member.n_patients - member.n_groups + 1 for member in members)
    r = np.array([np.mean([float(found[m.member][m.column]) for m in own]) for own in matches])
    bounded = np.clip(r, -0.999999, 0.999999)
    margin = ndtri(0.975) / np.sqrt(n - 3)
    low, high = (np.tanh(np.arctanh(bounded) + side * margin) for side in (-1, 1))
    statistic = bounded * np.sqrt((n - 2) / (1 - np.square(bounded)))
    q = false_discovery_control(stdtr(n - 2, -statistic))
    yield from zip(r.tolist(), low.tolist(), high.tolist(), q.tolist(), strict=True)


def _matched(
    first: PredictedGenes, other: PredictedGenes
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """For each programme of the first its column in the other, sign (0: none) and cosine."""
    mine, theirs = _on_common_genes(first, other)
    cosine = mine @ theirs.T
    rows, columns = linear_sum_assignment(-np.abs(cosine))
    place = np.zeros(len(mine), dtype=np.int64)
    sign, size = np.zeros(len(mine)), np.zeros(len(mine))
    place[rows] = columns
    sign[rows] = np.where(cosine[rows, columns] < 0, -1.0, 1.0)
    size[rows] = np.abs(cosine[rows, columns])
    return place, sign, size


def _on_common_genes(first: PredictedGenes, other: PredictedGenes) -> tuple[Floats, Floats]:
    """Both members' gene weights over the genes of either, rows of length 1."""
    union = {gene: place for place, gene in enumerate(dict.fromkeys(first.genes + other.genes))}
    found = []
    for member in (first, other):
        spread = np.zeros((len(member.weight), len(union)))
        spread[:, [union[gene] for gene in member.genes]] = member.weight.numpy()
        length = np.linalg.norm(spread, axis=1, keepdims=True)
        found.append(spread / np.maximum(length, 1e-12))
    return found[0], found[1]


def _programme(
    row: int,
    figures: tuple[float, float, float, float],
    matches: tuple[Match, ...],
    agreement: float,
    members: Sequence[PredictedGenes],
) -> Predictable:
    """A programme, turned so that most of the genes that name it rise with it."""
    weight = members[0].weight[row].numpy()
    top = np.argsort(-np.abs(weight), kind="stable")[:_NAMED]
    turn = -1.0 if np.sum(weight[top]) < 0 else 1.0
    genes = tuple(
        f"{'+' if turn * weight[gene] > 0 else '-'}{members[0].genes[gene]}" for gene in top
    )
    turned = tuple(Match(m.member, m.column, turn * m.sign) for m in matches)
    name = f"programme {row + 1}"
    n = _n_patients(members)
    held_out = members[0].held_out
    return Predictable(name, "programme", *figures, n, turned, agreement, genes, held_out)
