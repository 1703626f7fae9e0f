"""Comparison of methods on the same patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.difference import delong_difference, drawn_differences
from histodistill.evaluation.intervals import RESAMPLES, bootstrap_p, percentile_interval
from histodistill.evaluation.layout import absence, networks_in, target_classes
from histodistill.evaluation.runs import Runs, runs_of
from histodistill.evaluation.summary import few_patients, fold_mean_auc

COLUMNS = (
    *("target", "contender", "reference", "n_patients", "n_positive"),
    *("n_models", "n_models_reference", "auc", "auc_reference"),
    *("difference", "low", "high", "p_delong", "p_bootstrap", "p_holm"),
    *("fold_auc", "fold_auc_reference", "notes"),
)


@dataclass(frozen=True)
class Contender:
    """One network of one method, with its predictions.

    Attributes:
        name: What the comparison calls it.
        rows: The method's rows of a checked predictions table, any number of targets.
        network: The network that answers.
    """

    name: str
    rows: pd.DataFrame
    network: str


def contenders_in(predictions: pd.DataFrame, prefix: str = "") -> list[Contender]:
    """Every method and network of a predictions table, named ``METHOD NETWORK``.

    Args:
        predictions: A checked predictions table.
        prefix: Put before the names, to tell tables with the same methods apart.
    """
    return [
        Contender(f"{prefix}{method} {network}", rows, network)
        for method, rows in predictions.groupby("method", sort=False)
        for network in networks_in(rows)
    ]


def compare(
    contenders: Sequence[Contender],
    reference: str,
    *,
    common_patients: bool = False,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare AUCs with one of the contenders, target by target, on the same patients.

    The AUC of a contender is the mean over its seeds and repeats of the AUC of all patients, as
    ``evaluate`` pools them, whichever number of seeds each has. The bootstrap draws patients, the
    same for both contenders; its two-sided p-value is twice the smaller share of resamples on one
    side of no difference.
    ``p_holm`` adjusts over all rows of the table (S. Holm, Scand. J. Statist. 6 (1979) 65-70):
    DeLong's p-value, or the bootstrap's where there is none (more than two classes).

    Args:
        contenders: Two or more, with different names.
        reference: Name of the one that the others are compared with.
        common_patients: Compare on the patients that both answer, where they answer different
            ones; otherwise different patients are an error.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        A row a target and contender: ``target``, ``contender``, ``reference``, ``n_patients``,
        ``n_positive`` (missing beyond two classes), ``n_models`` and ``n_models_reference`` that
        answered, pooled ``auc`` and ``auc_reference``, their ``difference`` with its bootstrap 95 %
        interval ``low`` to ``high``, ``p_delong``, ``p_bootstrap``, ``p_holm``, the averages over
        folds ``fold_auc`` and ``fold_auc_reference``, and ``notes``.

    Raises:
        InputError: No such reference, names used twice, no target in common, or contenders that
            answer different patients or disagree about labels; every problem is named.
    """
    base = _reference(contenders, reference)
    matches: list[_Match] = []
    problems: list[str] = []
    for other in contenders:
        try:
            if other is not base:
                matches += _matches(other, base, common_patients)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    table = pd.DataFrame([_row(match, n_resamples, seed) for match in matches])
    tested = table["p_delong"].fillna(table["p_bootstrap"])
    return table.assign(p_holm=holm(tested.to_numpy()))[list(COLUMNS)]


def holm(p: npt.ArrayLike) -> FloatArray:
    """Holm's step-down adjustment of p-values; NaN stays NaN and is no part of the family."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


@dataclass(frozen=True)
class _Side:
    """One contender's runs for one target."""

    name: str
    runs: Runs
    fold_auc: float


@dataclass(frozen=True)
class _Match:
    """A contender and the reference, answering the same patients of one target."""

    target: str
    contender: _Side
    reference: _Side
    n_left_out: int


def _reference(contenders: Sequence[Contender], reference: str) -> Contender:
    names = [contender.name for contender in contenders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"The name(s) {listed(twice)} belong to several contenders; rename them.")
    if reference not in names:
        raise InputError(f"The reference {reference} is not among the contenders {listed(names)}.")
    if len(names) < 2:
        raise InputError(f"There is nothing to compare with {reference}.")
    return contenders[names.index(reference)]


def _matches(other: Contender, base: Contender, common_patients: bool) -> list[_Match]:
    """The targets of both; InputError names every target whose patients or labels differ."""
    targets = [t for t in base.rows["target"].unique() if (other.rows["target"] == t).any()]
    problems = []
    matches = []
    if not targets:
        problems.append(f"{other.name} and {base.name} have no target in common.")
    for target in targets:
        both = pd.concat([c.rows[c.rows["target"] == target] for c in (other, base)])
        classes = target_classes(both)
        sides = (_side(other, target, classes), _side(base, target, classes))
        problem = _difference(target, *sides, common_patients)
        if problem:
            problems.append(problem)
        else:
            matches.append(_match(target, *sides))
    if problems:
        raise InputError(*problems)
    return matches


def _side(contender: Contender, target: str, classes: tuple[str, ...]) -> _Side:
    rows = contender.rows[contender.rows["target"] == target]
    runs = runs_of(rows, contender.network, classes)
    return _Side(contender.name, runs, fold_mean_auc(rows, contender.network, classes))


def _difference(target: str, a: _Side, b: _Side, common_patients: bool) -> str:
    """What forbids comparing the two sides, in a sentence; empty where nothing does."""
    label_a = dict(zip(a.runs.patients, a.runs.y.tolist(), strict=True))
    label_b = dict(zip(b.runs.patients, b.runs.y.tolist(), strict=True))
    torn = sorted(name for name in label_a.keys() & label_b if label_a[name] != label_b[name])
    only_a, only_b = sorted(label_a.keys() - label_b), sorted(label_b.keys() - label_a)
    who = f"{target}: {a.name} and {b.name}"
    if torn:
        return f"{who} disagree about the label of patient(s) {listed(torn)}."
    if not label_a.keys() & label_b:
        return f"{who} answer no labelled patient in common."
    if (only_a or only_b) and not common_patients:
        return (
            f"{who} answer different patients: {len(only_a)} only by the first, {len(only_b)} "
            f"only by the second ({listed(only_a + only_b, 5)}). Ask for the common patients to "
            "compare on those that both answer."
        )
    return ""


def _match(target: str, a: _Side, b: _Side) -> _Match:
    shared = sorted(set(a.runs.patients) & set(b.runs.patients))
    everyone = set(a.runs.patients) | set(b.runs.patients)
    sides = [replace(side, runs=side.runs.of(shared)) for side in (a, b)]
    return _Match(target, sides[0], sides[1], len(everyone) - len(shared))


def _row(match: _Match, n_resamples: int, seed: int) -> dict[str, object]:
    a, b = match.contender.runs, match.reference.runs
    everybody = np.ones((1, len(a)))
    auc_a, auc_b = float(a.aucs(everybody)[0]), float(b.aucs(everybody)[0])
    drawn = drawn_differences(a, b, n_resamples, seed)
    low, high = percentile_interval(drawn)
    missing = [absence(name) for name in a.missing_classes()]
    left_out = [f"{match.n_left_out} patients that one alone answers left out"]
    few = few_patients(a)
    return {
        "target": match.target,
        "contender": match.contender.name,
        "reference": match.reference.name,
        "n_patients": len(a),
        "n_positive": int(a.counts[1]) if a.binary else pd.NA,
        "n_models": a.n_models,
        "n_models_reference": b.n_models,
        "auc": auc_a,
        "auc_reference": auc_b,
        "difference": auc_a - auc_b,
        "low": low,
        "high": high,
        "p_delong": _delong_p(a, b),
        "p_bootstrap": bootstrap_p(drawn),
        "fold_auc": match.contender.fold_auc,
        "fold_auc_reference": match.reference.fold_auc,
        "notes": "; ".join(
            missing + (left_out if match.n_left_out else []) + ([few] if few else [])
        ),
    }


def _delong_p(a: Runs, b: Runs) -> float:
    if not a.binary or a.missing_classes() or b.missing_classes():
        return float("nan")
    return delong_difference(a, b).p
