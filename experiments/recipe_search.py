"""Compare answers by held-out parts of the training patients alone: how `programmes` was chosen.

    python experiments/recipe_search.py [divisions]

For each target and each fold of the experiment, the training and validation patients are divided
into four parts, at random and with hospitals kept apart, as many times as asked (once by
default); a model learns from three parts and is asked about the fourth. Nobody of the fold's
test part is looked at. Prints Markdown tables of the mean AUC over folds, parts and divisions,
of students and of answers that read genes, and the difference to a reference with its standard
error: over a bootstrap of the patients, or of whole hospitals where these are kept apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from histodistill import read_experiment
from histodistill.experiment.data import ExperimentData, load
from histodistill.experiment.folds import extra_patients, folds_for
from histodistill.experiment.settings import Experiment
from histodistill.preparation.gene_weights import gene_weights, label_correlation
from histodistill.preparation.programmes import relevance

EXPERIMENT = Path(__file__).resolve().parent / "tcga-brca-suite.yaml"
PARTS = 4
CLIP = 6.0
RESAMPLES = 300
PENALTIES = np.logspace(-1.5, 2.5, 17)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["random", "hospitals apart"]
KINDS: tuple[Kind, ...] = ("random", "hospitals apart")


@dataclass(frozen=True)
class Part:
    """Patients as row numbers, and what is known of them.

    Attributes:
        means: Mean patch of every patient, [n, F].
        blocks: Raw genes of every patient in each block, [n, K], NaN where unknown.
        labels: Labels of ``train``, -1 for everybody else, [n].
        train: Who trains with a label.
        pool: Who trains, with or without a label.
        kept: What several answers need, computed once.
    """

    means: Floats
    blocks: Mapping[str, Floats]
    labels: Ints
    train: Ints
    pool: Ints
    kept: dict[object, Floats] = field(default_factory=dict)

    def once(self, key: object, made: Callable[[], Floats]) -> Floats:
        """The value of a key, made at its first use."""
        if key not in self.kept:
            self.kept[key] = made()
        return self.kept[key]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Who has genes."""
        unknown = [np.isnan(block).all(axis=1) for block in self.blocks.values()]
        return np.asarray(~np.all(unknown, axis=0))

    @property
    def paired(self) -> Ints:
        """Those of the pool who have genes."""
        return self.pool[self.measured[self.pool]]

    @property
    def labelled(self) -> Ints:
        """Those who train with a label and have genes."""
        return self.train[self.measured[self.train]]

    def genes(self, *names: str) -> Floats:
        """Genes of some blocks, or of all, scaled by the pool; unknown ones at their mean."""
        return np.hstack(
            [self.once(name, partial(self._scaled, name)) for name in names or self.blocks]
        )

    def _scaled(self, name: str) -> Floats:
        block = self.blocks[name]
        scaled = StandardScaler().fit(block[self.pool]).transform(block)
        return np.asarray(np.nan_to_num(scaled).clip(-CLIP, CLIP))


Answer = Callable[[Part], Floats]
Inputs = Callable[[Part], Floats]


# What is read of a slide.


def plain(part: Part) -> Floats:
    """The standardised mean patch."""
    return part.once(plain, lambda: _standardised(part.means, part))


def squashed(part: Part) -> Floats:
    """The same, compressed by a logarithm."""
    values = plain(part)
    return part.once(
        squashed, lambda: _standardised(np.sign(values) * np.log1p(np.abs(values)), part)
    )


def ranked(part: Part) -> Floats:
    """Normal scores of the ranks among the pool."""
    return part.once(ranked, lambda: _standardised(_normal_scores(part), part))


def weighed(inputs: Inputs) -> Inputs:
    """Features weighted by what they say about the programmes."""

    def read(part: Part) -> Floats:
        values, rows = inputs(part), part.paired
        centred = values[rows] - values[rows].mean(axis=0)
        return values * relevance(centred, _scores(part)[:, :30])

    return lambda part: part.once((weighed, inputs), lambda: read(part))


LOGS = weighed(squashed)
WEIGHED_PLAIN = weighed(plain)
WEIGHED_RANKS = weighed(ranked)


# Students.


def logistic(strength: float, inputs: Inputs = plain) -> Answer:
    """Logistic regression on the mean patch."""
    return lambda part: _logistic(inputs(part), part, strength, part.train)


def programmes(
    inputs: Inputs,
    k: int = 30,
    *,
    blocks: tuple[str, ...] = (),
    weighted: bool = True,
    extras: bool = True,
    lenience: float = 0.25,
    strength: float = 0.02,
) -> Answer:
    """Logistic regression on expression programmes of the mean patch."""

    def answer(part: Part) -> Floats:
        rows = part.paired if extras else part.labelled
        scores = _scores(part, blocks, weighted=weighted, extras=extras)[:, :k]
        return _logistic(_read(inputs, part, rows, scores, lenience), part, strength, part.train)

    return lambda part: part.once(
        (inputs, k, blocks, weighted, extras, lenience, strength), lambda: answer(part)
    )


def together(*answers: Answer, weights: tuple[float, ...] | None = None) -> Answer:
    """Logits of several answers, added."""
    shares = weights or (1.0,) * len(answers)
    return lambda part: np.asarray(sum(w * a(part) for w, a in zip(shares, answers, strict=True)))


def soft_labels(inputs: Inputs, share: float) -> Answer:
    """Programmes, towards labels mixed with the cross-fitted answers of a genomic network."""

    def answer(part: Part) -> Floats:
        rows, train = part.labelled, part.train
        read = _read(inputs, part, part.paired, _scores(part)[:, :30], 0.25)
        genes = _principal(_weighted(part, (), 2.0), rows)
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=500)
        told = cross_val_predict(model, genes[rows], part.labels[rows], method="decision_function")
        soft = (part.labels == 1).astype(float)
        soft[rows] = (1 - share) * soft[rows] + share * expit(told)
        positive = float((part.labels[train] == 1).mean())
        # Every patient counts twice, once for each class.
        both = np.concatenate([np.ones(len(train)), np.zeros(len(train))])
        counts = np.concatenate(
            [soft[train] / positive, (1 - soft[train]) / (1 - positive)]
        )  # classes balanced
        student = LogisticRegression(C=0.02, max_iter=500)
        student.fit(np.vstack([read[train]] * 2), both, sample_weight=counts / 2)
        return np.asarray(student.decision_function(read))

    return answer


# Answers that read genes.


def genomic(power: float, *blocks: str, strength: float = 1.0) -> Answer:
    """Logistic regression on genes weighted by a power of their correlation with the label."""

    def answer(part: Part) -> Floats:
        genes = _principal(_weighted(part, blocks, power), part.labelled)
        return _logistic(genes, part, strength, part.labelled)

    return lambda part: part.once((power, blocks, strength), lambda: answer(part))


def best_gene(part: Part) -> Floats:
    """The gene with the largest correlation with the label."""
    genes, rows = part.genes(), part.labelled
    best = int(np.argmax(label_correlation(genes[rows], part.labels[rows])))
    return _logistic(genes[:, [best]], part, 1.0, rows)


STUDENTS: dict[str, Answer] = {
    "logistic regression, C = 0.001": logistic(0.001),
    "logistic regression, C = 0.003": logistic(0.003),
    "the same on ranks, C = 0.001": logistic(0.001, ranked),
    "30 programmes, genes weighted by label": programmes(plain),
    "genes not weighted": programmes(plain, weighted=False),
    "without patients who lack a label": programmes(plain, extras=False),
    "10 programmes": programmes(plain, 10),
    "60 programmes": programmes(plain, 60),
    "10, 30 and 60, averaged": together(*(programmes(plain, k) for k in (10, 30, 60))),
    "programmes of mRNA alone": programmes(plain, blocks=("mrna",)),
    "programmes of copy number alone": programmes(plain, blocks=("cna",)),
    "the penalty that predicts best": programmes(plain, lenience=1.0),
    "less shrinkage of the student": programmes(plain, strength=0.2),
    "added to logistic regression": together(programmes(plain), logistic(0.001)),
    "half the genomic network's answer as label": soft_labels(plain, 0.5),
    "features weighted": programmes(WEIGHED_PLAIN),
    "features squashed": programmes(squashed),
    "features squashed and weighted (the recipe)": programmes(LOGS),
    "ranks instead of features": programmes(ranked),
    "ranks, weighted": programmes(WEIGHED_RANKS),
    "the recipe, 10 programmes": programmes(LOGS, 10),
    "the recipe, half the genomic network's answer": soft_labels(LOGS, 0.5),
}
STUDENT = "30 programmes, genes weighted by label"

GENOMIC: dict[str, Answer] = {
    "genes alike": genomic(0),
    "power 1": genomic(1),
    "power 2 (the recipe)": genomic(2),
    "power 3": genomic(3),
    "power 2, C = 0.3": genomic(2, strength=0.3),
    "power 2, C = 3": genomic(2, strength=3),
    "power 2, mRNA alone": genomic(2, "mrna"),
    "power 3, mRNA alone": genomic(3, "mrna"),
    "power 2, mRNA and half of copy number": together(
        genomic(2, "mrna"), genomic(2, "cna"), weights=(1, 0.5)
    ),
    "the best gene": best_gene,
    **{
        f"the recipe and {w} of the student": together(genomic(2), programmes(LOGS), weights=(1, w))
        for w in (0.1, 0.25, 0.5, 1.0)
    },
}
EXPERT = "power 2 (the recipe)"


# Small pieces.


def _standardised(values: Floats, part: Part) -> Floats:
    return np.asarray(StandardScaler().fit(values[part.pool]).transform(values))


def _normal_scores(part: Part) -> Floats:
    n = len(part.pool)
    scores = np.empty_like(part.means)
    for own, feature, known in zip(
        scores.T, part.means.T, np.sort(part.means[part.pool], axis=0).T, strict=True
    ):
        rank = (np.searchsorted(known, feature) + np.searchsorted(known, feature, "right")) / 2
        own[:] = norm.ppf((rank / n).clip(0.5 / n, 1 - 0.5 / n))
    return scores


def _scores(
    part: Part, blocks: tuple[str, ...] = (), *, weighted: bool = True, extras: bool = True
) -> Floats:
    """Sixty principal components of the genes of the patients with slides and genes."""

    def made() -> Floats:
        rows = part.paired if extras else part.labelled
        genes = part.genes(*blocks)[rows]
        factors = label_correlation(genes, part.labels[rows]) if weighted else 1.0
        components = _principal(genes * factors, np.arange(len(rows)))
        return components[:, ::-1][:, :60]

    return part.once((_scores, blocks, weighted, extras), made)


def _principal(values: Floats, rows: Ints) -> Floats:
    """All patients in the space that some rows span, the least component first."""
    centred = values - values[rows].mean(axis=0)
    products = centred @ centred[rows].T
    spread, axes = np.linalg.eigh(products[rows])
    kept = spread > 1e-9 * spread[-1]
    return np.asarray(products @ (axes[:, kept] / np.sqrt(spread[kept])))


def _weighted(part: Part, blocks: tuple[str, ...], power: float) -> Floats:
    """Genes with their factors, divided by the root of their number."""
    genes = part.genes(*blocks)
    rows = part.labelled
    factors = gene_weights({"genes": genes[rows]}, part.labels[rows], power)["genes"]
    return np.asarray(genes * factors / np.sqrt(genes.shape[1]))


def _read(inputs: Inputs, part: Part, rows: Ints, scores: Floats, lenience: float) -> Floats:
    """Programmes that ridge regression reads from the inputs of everybody, [n, k]."""
    axes = part.once((_principal, inputs, len(rows)), lambda: _principal(inputs(part), rows))
    squares = np.square(axes[rows]).sum(axis=0)
    centred = scores - scores.mean(axis=0)
    directions = axes[rows] / np.sqrt(squares)
    told = directions.T @ centred

    def left_out_error(penalty: float) -> float:
        shrunk = directions * (squares / (squares + penalty))
        leverage = (shrunk * directions).sum(axis=1) + 1 / len(rows)
        residuals = (centred - shrunk @ told) / (1 - leverage)[:, None]
        return float(np.square(residuals).sum())

    penalty = lenience * min(PENALTIES * len(rows), key=left_out_error)
    answers = axes @ Ridge(penalty, fit_intercept=False).fit(axes[rows], centred).coef_.T
    return np.asarray(answers / answers[rows].std())


def _logistic(inputs: Floats, part: Part, strength: float, rows: Ints) -> Floats:
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    model.fit(inputs[rows], part.labels[rows])
    return np.asarray(model.decision_function(inputs))


# Parts, and what is told of them.


@dataclass(frozen=True)
class Asked:
    """Held-out patients of one part, their labels, and each answer's scores of them."""

    target: str
    patients: Ints
    truth: Ints
    scores: Mapping[str, Floats]


def parts(
    experiment: Experiment, data: ExperimentData, target: str, kind: Kind, division: int
) -> Iterator[tuple[Part, Ints, Ints]]:
    """Every part of every fold, who is asked about, and their labels."""
    assert data.bags is not None
    patients = data.bags.patients
    means = data.bags.mean_patches(patients)
    blocks = {name: t.reindex(patients).to_numpy(float) for name, t in data.genomics.items()}
    labels = data.labels(target).reindex(patients).fillna(-1).to_numpy(int)
    sites = hospitals(data)
    place = {patient: row for row, patient in enumerate(patients)}

    def rows(names: list[str]) -> Ints:
        return np.array([place[name] for name in names if name in place])

    for fold in folds_for(experiment, data, target).folds:
        everybody = rows([*fold.train, *fold.validation])
        extras = rows(extra_patients(experiment, data, data.labels(target).index, fold))
        splitter = StratifiedKFold if kind == "random" else StratifiedGroupKFold
        split = splitter(PARTS, shuffle=True, random_state=100 * division + fold.index)
        groups = None if kind == "random" else sites[everybody]
        for own, held_out in split.split(everybody, labels[everybody], groups):
            train, asked = everybody[own], everybody[held_out]
            apart = np.isin(sites[extras], sites[asked]) & (kind != "random")
            known = np.full(len(patients), -1)
            known[train] = labels[train]
            pool = np.concatenate([train, extras[~apart]])
            yield Part(means, blocks, known, train, pool), asked, labels[asked]


def hospitals(data: ExperimentData) -> NDArray[np.str_]:
    """The hospital of every patient with slides."""
    assert data.bags is not None
    return data.clinical.sites.reindex(data.bags.patients).fillna("?").to_numpy(str)


def draws(data: ExperimentData, kind: Kind) -> Floats:
    """How often each patient is drawn in each bootstrap sample, [RESAMPLES, n]."""
    sites = hospitals(data)
    units = np.arange(len(sites)) if kind == "random" else np.unique(sites, return_inverse=True)[1]
    n = int(units.max()) + 1
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return np.asarray(drawn[:, units], dtype=float)


def aucs(asked: list[Asked], name: str, weights: Floats) -> Floats:
    """Mean AUC over the parts of each target, [targets, 1 + RESAMPLES]; first, as they are."""
    weights = np.vstack([np.ones(weights.shape[1]), weights])
    found: dict[str, list[Floats]] = {}
    for part in asked:
        cases, scores = part.truth == 1, part.scores[name]
        right = np.sign(scores[cases][:, None] - scores[~cases]) / 2 + 0.5
        of_cases, of_rest = weights[:, part.patients[cases]], weights[:, part.patients[~cases]]
        pairs = of_cases.sum(axis=1) * of_rest.sum(axis=1)
        agreeing = ((of_cases @ right) * of_rest).sum(axis=1)
        auc = np.divide(agreeing, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        found.setdefault(part.target, []).append(auc)
    return np.array([np.nanmean(values, axis=0) for values in found.values()])


def print_table(
    title: str, asked: list[Asked], answers: Mapping[str, Answer], reference: str, weights: Floats
) -> None:
    """AUC by target, and the difference to the reference in thousandths with its error."""
    targets = list(dict.fromkeys(part.target for part in asked))
    header = [title, *targets, "mean", *(f"{t} difference" for t in targets), "mean difference"]
    print("\n| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    against = _with_mean(aucs(asked, reference, weights))
    for name in answers:
        values = _with_mean(aucs(asked, name, weights))
        difference = 1000 * (values - against)
        told = [f"{value:.3f}" for value in values[:, 0]]
        if name == reference:
            told += ["-"] * len(values)
        else:
            told += [f"{row[0]:+.0f} ({row[1:].std():.0f})" for row in difference]
        print(f"| {name} | " + " | ".join(told) + " |", flush=True)


def _with_mean(values: Floats) -> Floats:
    return np.vstack([values, values.mean(axis=0)])


def main(divisions: int) -> None:
    """Print the tables."""
    experiment = read_experiment(EXPERIMENT)
    data = load(experiment)
    answers = STUDENTS | GENOMIC
    for kind in KINDS:
        asked = [
            Asked(target, held_out, truth, {n: a(part)[held_out] for n, a in answers.items()})
            for target in experiment.targets
            for division in range(divisions)
            for part, held_out, truth in parts(experiment, data, target, kind, division)
        ]
        weights = draws(data, kind)
        print_table(f"students, {kind}", asked, STUDENTS, STUDENT, weights)
        print_table(f"genes, {kind}", asked, GENOMIC, EXPERT, weights)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
