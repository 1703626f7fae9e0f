"""Folds of patients: training, validation and test parts that share no patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from histodistill.cohort.balance import balanced_partitions
from histodistill.errors import InputError, listed

PARTS = ("train", "validation", "test")
Members = Callable[[tuple[str, ...]], set[str]]


@dataclass(frozen=True)
class Fold:
    """One division of the patients; every part is sorted.

    Attributes:
        index: Number of the fold within its repeat, from 0.
        repeat: Number of the repeat, from 0.
        train: Patients whom everything is fitted on.
        validation: Patients who decide when to stop and where the threshold lies.
        test: Patients who decide nothing.
        withheld: Patients whose label nobody sees in this fold: they take part as those without a
            label do.
    """

    index: int
    repeat: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    withheld: tuple[str, ...] = ()


def stratified_folds(
    labels: pd.Series[int],
    n_folds: int,
    *,
    validation: float = 0.2,
    repeats: int = 1,
    seed: int,
    classes: Sequence[str] = (),
) -> list[Fold]:
    """Seeded k-fold cross-validation in which every part has the cohort's class balance.

    Test folds differ by at most one patient in size and in every class. The result depends on
    the patients, not on their order in the table.

    Args:
        labels: Class of each patient (the index).
        n_folds: Number of test folds, which together hold every patient once.
        validation: Share of each fold's other patients who are held out for validation.
        repeats: How often the whole division is drawn anew.
        seed: From 0.
        classes: Names of the classes in the order of their labels, for messages.

    Returns:
        ``n_folds`` folds of the first repeat, then of the next.

    Raises:
        InputError: A setting is out of its range, a patient has no label or two, or a class
            has fewer patients than there are folds.
    """
    problems = _setting_problems(n_folds, validation, repeats, seed)
    problems += _label_problems(labels)
    sizes = labels.value_counts().sort_index()
    problems += [
        f"Class {_name(label, classes)} has {size} patients, too few for {n_folds} folds; "
        "use fewer folds."
        for label, size in sizes.items()
        if size < n_folds
    ]
    if problems:
        raise InputError(*problems)
    labels = labels.sort_index()
    folds = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        dealt = _dealt(labels, n_folds, rng)
        for index in range(n_folds):
            held_out = _held_out(labels[dealt != index], validation, rng)
            folds.append(_fold(index, repeat, labels, held_out, labels.index[dealt == index]))
    check_folds(folds)
    return folds


def site_preserved_folds(
    labels: pd.Series[int],
    sites: pd.Series[str],
    n_folds: int,
    *,
    validation: float = 0.2,
    repeats: int = 1,
    seed: int,
) -> list[Fold]:
    """Cross-validation in which no site is in two test folds, or in two parts of a fold.

    Slides betray where they were made, and sites differ in their patients; a model that knows
    the site looks better than it is (Howard et al., Nature Communications 2021). Every class is
    spread as evenly as whole sites allow; it can be absent from a part all the same (see
    ``fold_table``). Every repeat is a different division, the best balanced one first.

    Args:
        labels: Class of each patient (the index).
        sites: Site of each patient (the index); others than those in ``labels`` are ignored.
        n_folds: Number of test folds, which together hold every patient once.
        validation: Share of each fold's other patients to hold out for validation.
        repeats: How many divisions.
        seed: From 0.

    Returns:
        ``n_folds`` folds of the first repeat, then of the next.

    Raises:
        InputError: A setting is out of its range, a patient has no label or two or no site,
            or there are too few sites for so many folds or repeats.
    """
    problems = _setting_problems(n_folds, validation, repeats, seed) + _label_problems(labels)
    labels = labels.sort_index()
    sites = sites[~sites.index.duplicated()].reindex(labels.index)
    problems += _site_problems(sites, n_folds)
    if problems:
        raise InputError(*problems)
    rng = np.random.default_rng(seed)
    folds = []
    for repeat, dealt in enumerate(_repeated_divisions(labels, sites, n_folds, repeats, rng)):
        for index in range(n_folds):
            rest, quotas = labels[dealt != index], np.array([1 - validation, validation])
            inner = _site_divisions(rest, sites[rest.index], quotas, rng)[0]
            held_out = rest.index[inner == 1]
            folds.append(_fold(index, repeat, labels, held_out, labels.index[dealt == index]))
    check_folds(folds, sites=sites)
    return folds


def _site_problems(sites: pd.Series[str], n_folds: int) -> list[str]:
    """Why the sites of some patients, by patient, do not do for so many folds."""
    problems = []
    homeless = sites.index[sites.isna()].tolist()
    if homeless:
        problems.append(
            f"Site-preserved folds need the site of every patient; it is unknown for "
            f"{listed(homeless)}. Name the column with the site, or use stratified folds."
        )
    # Beside the test sites of a fold, one for training and one for validation are needed.
    needed = 4 if n_folds == 2 else n_folds
    if sites.nunique() < needed:
        problems.append(
            f"{n_folds} site-preserved folds need at least {needed} sites; "
            f"there are {sites.nunique()}. Use fewer folds, or stratified folds."
        )
    return problems


def _repeated_divisions(
    labels: pd.Series[int],
    sites: pd.Series[str],
    n_folds: int,
    repeats: int,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Different divisions of the patients into folds, the best balanced first.

    Raises:
        InputError: There are not so many.
    """
    found = _site_divisions(labels, sites, np.full(n_folds, 1 / n_folds), rng)
    divisions = [dealt for dealt in found if _leave_two_sites(dealt, sites, n_folds)][:repeats]
    if not divisions:
        raise InputError(
            f"No division of these {sites.nunique()} sites into {n_folds} folds was found that "
            "leaves sites for training and for validation beside each. Use more folds, or "
            "stratified folds."
        )
    if len(divisions) < repeats:
        raise InputError(
            f"The repeats must be {len(divisions)} or less: no more different divisions of these "
            f"{sites.nunique()} sites into {n_folds} folds were found."
        )
    return divisions


def external_fold(
    labels: pd.Series[int], external: Collection[str], *, validation: float = 0.2, seed: int
) -> Fold:
    """One fold whose test part is another cohort.

    Args:
        labels: Class of each development patient (the index), to be divided into training and
            validation.
        external: Patients of the external cohort; their labels are not needed.
        validation: Share of the development patients who are held out for validation.
        seed: From 0.

    Returns:
        Fold 0 of repeat 0.

    Raises:
        InputError: A setting is out of its range, a patient has no label or two, or a patient
            is in both cohorts.
    """
    problems = _setting_problems(2, validation, 1, seed) + _label_problems(labels)
    shared = sorted(set(external).intersection(labels.index))
    if shared:
        problems.append(
            f"Patients of the external cohort are among the development patients: {listed(shared)}."
        )
    if problems:
        raise InputError(*problems)
    labels = labels.sort_index()
    held_out = _held_out(labels, validation, np.random.default_rng(seed))
    train = labels.index.difference(held_out)
    fold = Fold(0, 0, tuple(train), tuple(sorted(held_out)), tuple(sorted(external)))
    check_folds([fold])
    return fold


def check_folds(folds: Sequence[Fold], *, sites: pd.Series[str] | None = None) -> None:
    """Prove that no patient crosses.

    Within each fold no patient is in two parts or twice in one, and no part is empty; within
    each repeat no patient is tested twice. With ``sites`` the same is proved for sites.

    Raises:
        InputError: Every crossing, with the patients (or sites) that cross.
    """
    problems: list[str] = []
    for fold in folds:
        problems += _empty_or_repeated(fold)
        problems += _crossings(fold, "patients", set)
    problems += _tested_twice(folds, "patients", set)
    if sites is not None:
        problems += _crossing_sites(folds, sites)
    if problems:
        raise InputError(*problems)


def fold_table(
    folds: Sequence[Fold], labels: pd.Series[int], classes: Sequence[str]
) -> pd.DataFrame:
    """Count patients by fold, part and class.

    Args:
        folds: The folds.
        labels: Class of each patient (the index); patients without one count as unlabelled.
        classes: Names of the classes in the order of their labels.

    Returns:
        One row a part, with ``repeat``, ``fold``, ``part``, ``patients``, a column for each
        class and ``unlabelled``.
    """
    rows = []
    for fold in folds:
        for part in PARTS:
            patients = list(getattr(fold, part))
            found = labels.reindex(patients)
            counts = {name: int((found == label).sum()) for label, name in enumerate(classes)}
            rows.append(
                {"repeat": fold.repeat, "fold": fold.index, "part": part}
                | {"patients": len(patients), **counts, "unlabelled": int(found.isna().sum())}
            )
    return pd.DataFrame(rows)


def _name(label: object, classes: Sequence[str]) -> str:
    return f"'{classes[int(str(label))]}'" if classes else str(label)


def _setting_problems(n_folds: int, validation: float, repeats: int, seed: int) -> list[str]:
    problems = []
    if n_folds < 2:
        problems.append(f"Cross-validation needs at least 2 folds, not {n_folds}.")
    if not 0 < validation < 1:
        problems.append(
            f"The validation share must lie between 0 and 1, not {validation}: "
            "it stops the training and sets the threshold."
        )
    if repeats < 1:
        problems.append(f"Cross-validation needs at least 1 repeat, not {repeats}.")
    if seed < 0:
        problems.append(f"The seed must be 0 or more, not {seed}.")
    return problems


def _label_problems(labels: pd.Series[int]) -> list[str]:
    problems = []
    repeated = labels.index[labels.index.duplicated()].unique().tolist()
    if repeated:
        problems.append(f"Patients with more than one label: {listed(repeated)}.")
    unknown = labels.index[labels.isna()].tolist()
    if unknown:
        problems.append(f"Patients without a label cannot be in a fold: {listed(unknown)}.")
    if labels.nunique() < 2:
        problems.append("The labelled patients are all of one class; there is nothing to learn.")
    return problems


def _dealt(labels: pd.Series[int], n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each patient: shuffled, sorted by class, then dealt like cards."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[labels.to_numpy()[shuffled].argsort(kind="stable")]
    folds = np.empty(len(labels), dtype=np.intp)
    folds[by_class] = np.arange(len(labels)) % n_folds
    return folds


def _held_out(labels: pd.Series[int], share: float, rng: np.random.Generator) -> list[str]:
    """About ``share`` of each class; of two patients or more, one at least stays on each side."""
    chosen: list[str] = []
    for _, patients in labels.groupby(labels):
        size = min(max(round(share * len(patients)), 1), len(patients) - 1)
        chosen += rng.permutation(patients.index.to_numpy())[:size].tolist()
    return chosen


def _leave_two_sites(dealt: np.ndarray, sites: pd.Series[str], n_folds: int) -> bool:
    """Whether two sites or more are left beside every fold."""
    return all(len(set(sites[dealt != index])) > 1 for index in range(n_folds))


def _site_divisions(
    labels: pd.Series[int], sites: pd.Series[str], quotas: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """The part of each patient, for the different divisions found, best balanced first."""
    counts = pd.crosstab(sites, labels)
    shares = (counts / counts.sum()).to_numpy(dtype=float)
    site_numbers = counts.index.get_indexer(pd.Index(sites))
    return [parts[site_numbers] for parts in balanced_partitions(shares, quotas, rng)]


def _fold(
    index: int,
    repeat: int,
    labels: pd.Series[int],
    validation: Collection[str],
    test: Collection[str],
) -> Fold:
    train = labels.index.difference([*validation, *test])
    return Fold(index, repeat, tuple(train), tuple(sorted(validation)), tuple(sorted(test)))


def _called(fold: Fold) -> str:
    return f"Fold {fold.index} of repeat {fold.repeat}"


def _empty_or_repeated(fold: Fold) -> list[str]:
    problems = []
    for part in PARTS:
        patients: tuple[str, ...] = getattr(fold, part)
        if not patients:
            problems.append(f"{_called(fold)} has no {part} patients.")
        repeated = sorted({name for name in patients if patients.count(name) > 1})
        if repeated:
            problems.append(f"{_called(fold)} has {part} patients twice: {listed(repeated)}.")
    return problems


def _crossings(fold: Fold, kind: str, members: Members) -> list[str]:
    """What is in two parts of a fold; ``members`` turns patients into what must not cross."""
    sets = {part: members(getattr(fold, part)) for part in PARTS}
    return [
        f"{_called(fold)} has {kind} in both {one} and {other}: {listed(sorted(shared))}."
        for one, other in combinations(PARTS, 2)
        if (shared := sets[one] & sets[other])
    ]


def _tested_twice(folds: Sequence[Fold], kind: str, members: Members) -> list[str]:
    return [
        f"Folds {one.index} and {other.index} of repeat {one.repeat} test the same {kind}: "
        f"{listed(sorted(shared))}."
        for one, other in combinations(folds, 2)
        if one.repeat == other.repeat and (shared := members(one.test) & members(other.test))
    ]


def _crossing_sites(folds: Sequence[Fold], sites: pd.Series[str]) -> list[str]:
    known = sites.dropna()
    site_of = dict(zip(known.index.astype(str), known, strict=True))
    everyone = {patient for fold in folds for part in PARTS for patient in getattr(fold, part)}
    homeless = sorted(everyone - site_of.keys())

    def sites_of(patients: tuple[str, ...]) -> set[str]:
        return {site_of[patient] for patient in patients if patient in site_of}

    problems = [f"The site is unknown for {listed(homeless)}."] if homeless else []
    for fold in folds:
        problems += _crossings(fold, "sites", sites_of)
    return problems + _tested_twice(folds, "sites", sites_of)
