"""Write docs/trust.md: what calibration and triage do on real and on simulated patients.

    python experiments/trust.py

Real: the cohort of experiments/tcga-brca-sites.yaml, twenty divisions in which no hospital is in
two parts. In each, logistic regression on the mean patch, five members, each held out from another
part of the training hospitals; what they answer there calibrates them. Simulated: patients whose
truth is known, from the same hospital and from a shifted one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import out_of_scope
import pandas as pd
from scipy.special import expit

from histodistill import read_experiment
from histodistill.baselines.logistic import LogisticBaseline
from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.calibration.out_of_fold import mean_costs, triage_out_of_fold
from histodistill.calibration.site import align
from histodistill.calibration.triage import Costs, TriagePolicy, fit_triage
from histodistill.cohort import Fold, site_preserved_folds
from histodistill.errors import InputError
from histodistill.evaluation import calibration_figures
from histodistill.experiment import ExperimentData, load
from histodistill.files import write_text
from histodistill.report import plain_table, to_markdown
from histodistill.training.fit.baselines import mean_patch_table

HERE = Path(__file__).resolve().parent
SITES = HERE / "tcga-brca-sites.yaml"
DOCUMENT = HERE.parent / "docs" / "trust.md"
CACHE = HERE.parent / "runs" / "trust-predictions.csv"
REPEATS, FOLDS, MEMBERS = 20, 5, 5
# The strength that the baseline chooses most often; searching it in every member takes hours.
STRENGTH = 1e-4


@dataclass(frozen=True)
class Cohort:
    """One target of the real cohort."""

    target: str
    features: pd.DataFrame
    labels: pd.Series[int]
    sites: pd.Series[str]

    def divisions(self) -> list[Fold]:
        """Twenty times five folds, no hospital in two parts."""
        return site_preserved_folds(self.labels, self.sites, FOLDS, repeats=REPEATS, seed=0)

    def answered(self, fold: Fold) -> pd.DataFrame:
        """The test patients of a fold, as given and calibrated."""
        learning = self.labels.drop(list(fold.test))
        parts = site_preserved_folds(learning, self.sites.loc[learning.index], MEMBERS, seed=0)
        held_out = pd.Series(np.nan, learning.index)
        tested = np.zeros(len(fold.test))
        for part in parts:
            own = learning.drop(list(part.test))
            model = LogisticBaseline(inverse_penalty=STRENGTH)
            model.fit(self.features.loc[own.index].to_numpy(), own.to_numpy())
            held_out[list(part.test)] = self._positive(model, part.test)
            tested += self._positive(model, fold.test) / MEMBERS
        both = np.column_stack([1 - held_out, held_out])
        calibrator = calibrate_network(CalibrationSettings(), learning.to_numpy(), both, 1)
        calibrated = calibrator.transform(np.column_stack([1 - tested, tested]), 1)[:, 1]
        return self._rows(fold, tested, calibrated)

    def _positive(self, model: LogisticBaseline, patients: tuple[str, ...]) -> np.ndarray:
        return model.predict_proba(self.features.loc[list(patients)].to_numpy())[:, 1]

    def _rows(self, fold: Fold, given: np.ndarray, calibrated: np.ndarray) -> pd.DataFrame:
        named = self.labels.loc[list(fold.test)].map({0: "negative", 1: "positive"})
        return pd.DataFrame(
            {
                "PATIENT": list(fold.test),
                "target": self.target,
                "method": "logistic-slides",
                "seed": 0,
                "repeat": fold.repeat,
                "fold": fold.index,
                "label": named.to_numpy(),
                "positive_class": "positive",
                "student": given,
                "student_calibrated": calibrated,
            }
        )


def cohorts(data: ExperimentData, targets: tuple[str, ...]) -> Iterator[Cohort]:
    """The labelled patients of each target who have slides."""
    assert data.bags is not None
    features = mean_patch_table(data.bags)
    for target in targets:
        labels = data.labels(target)
        labels = labels[labels.index.isin(features.index)].astype(int)
        yield Cohort(target, features, labels, data.clinical.sites.reindex(labels.index))


def real_answers() -> pd.DataFrame:
    """All answers on the real cohort; read where an earlier call has written them."""
    if not CACHE.exists():
        experiment = read_experiment(SITES)
        data = load(experiment)
        rows = [
            cohort.answered(fold)
            for cohort in cohorts(data, tuple(experiment.targets))
            for fold in cohort.divisions()
        ]
        CACHE.parent.mkdir(exist_ok=True)
        pd.concat(rows).to_csv(CACHE, index=False)
    return pd.read_csv(CACHE)


_INTRODUCTION = """\
# What calibration and triage do

Made by `python experiments/trust.py`. Research use only. What the words mean: [Calibrated
answers, and a new site](how-to/trust.md), [Whom could it spare a test?](how-to/triage.md)

The real cohort: labelled TCGA-BRCA patients with open slide features (maps of published CNNs and
morphometrics, not a pathology foundation model). Twenty divisions into five folds in which no
hospital is in two parts; logistic regression on the mean patch (classes balanced by weight), five
members as with `training.members: 5`, each held out from other training hospitals, which
calibrate their average. All figures are out of fold, means over the twenty divisions.
"""

_CALIBRATION = """\
## Calibration

Aim: ECE of .05 or less and a slope of .9 to 1.1 for ER and PR after calibration. The weights that
balance the classes make the given probabilities those of a cohort that is half positive.
"""

_TRIAGE = """
## Triage

Thresholds chosen on four folds of other hospitals, judged on the fifth. *spared*, *missed* (of
the positive) and *false alarms* (of the negative) are shares, means over the divisions; *beyond*:
in how many of the twenty divisions a stated share was passed (one is what 95 % confidence allows
a side). *refused*: the training folds are too few patients to certify the policy. Costs are of a
missed patient, a false alarm and an IHC.

A promise is for patients like those that certified it. Where a share is passed more often than
allowed, those of the other hospitals were not: a receptor that these features hardly tell (see
*discrimination*) is called by what its hospitals have in common. Costs call most patients where
a class is frequent: they promise no risk, and their false alarms are what was paid for.
"""

_COVERAGE = """
## Coverage, with a known truth

Simulated: 400 calibration patients, skewed scores, AUC about .96, policy "miss at most 5 %"; the
true share missed by each certified rule. The promise holds for patients of the same hospital, and
for no others: it is void where scores are shifted.
"""

_SITE = """
## A new site, simulated

Thresholds that find 95 % of the positive patients of training; mean absolute error of the
sensitivity at the site, with the threshold of training and after `calibrate` with 30 labelled
patients. *interval holds*: how often, in a third of the 45 cohorts, the 95 % interval that it
prints holds the true sensitivity. In the last two rows nothing is shifted: there recalibration only
adds chance.
"""

_SCOPE = """
## Out of scope

Patients made of real tiles of breast cancer, encoded by the offline ImageNet encoder
(`experiments/out_of_scope.py`); the model's limits are set on {training} of them. Share withheld:

{table}

Tiles of one source, dealt to patients by chance: patients of other hospitals will be withheld more
often than those held out here.
"""


def scope_text() -> str:
    """What is withheld; a note where the tiles are not at hand."""
    return _SCOPE.format(
        training=out_of_scope.TRAINING, table=to_markdown(plain_table(out_of_scope.result()))
    )


# What may go wrong, and what it costs, in the table of triage.
POLICIES = {
    "miss at most 5 %": TriagePolicy(max_missed=0.05),
    "miss at most 10 %": TriagePolicy(max_missed=0.1),
    "at most 5 % false alarms": TriagePolicy(max_false_alarms=0.05),
    "both at most 5 %": TriagePolicy(max_missed=0.05, max_false_alarms=0.05),
    "costs 10 : 2 : 1": TriagePolicy(costs=Costs(missed=10, false_alarm=2, ihc=1)),
}


def triaged(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    """What each policy does to each target: chosen on four folds, judged on the fifth."""
    for target, own in rows.groupby("target", sort=False):
        for name, policy in POLICIES.items():
            try:
                repeats = [_one_repeat(policy, part) for _, part in own.groupby("repeat")]
            except InputError as error:
                yield {"target": target, "policy": name, "refused": str(error)}
                continue
            yield {"target": target, "policy": name, **_over_repeats(policy, repeats)}


def _one_repeat(policy: TriagePolicy, rows: pd.DataFrame) -> pd.DataFrame:
    known = (rows["label"] == "positive").to_numpy()
    found = triage_out_of_fold(policy, known, rows["student_calibrated"], rows["fold"])
    if found.answers is None:
        raise InputError(found.note)
    return pd.DataFrame({"positive": known, "answer": found.answers})


def _over_repeats(policy: TriagePolicy, repeats: list[pd.DataFrame]) -> dict[str, object]:
    """Shares of all repeats together, and in how many the stated limit was passed."""
    missed = [
        ((r["answer"] == "negative") & r["positive"]).sum() / r["positive"].sum() for r in repeats
    ]
    alarms = [
        ((r["answer"] == "positive") & ~r["positive"]).sum() / (~r["positive"]).sum()
        for r in repeats
    ]
    beyond = 0
    for share, limit in ((missed, policy.max_missed), (alarms, policy.max_false_alarms)):
        beyond += 0 if limit is None else sum(value > limit for value in share)
    spared = [(r["answer"] != "send to IHC").mean() for r in repeats]
    cost = ""
    if policy.costs is not None:
        paid = [
            mean_costs(policy.costs, r["answer"], r["positive"])["value"].iloc[0] for r in repeats
        ]
        cost = f"{np.mean(paid):.2f} (IHC for all: {policy.costs.ihc:.2f})"
    return {
        "spared": float(np.mean(spared)),
        "missed": float(np.mean(missed)),
        "false alarms": float(np.mean(alarms)),
        "beyond": "" if policy.costs is not None else beyond,
        "cost": cost,
    }


def drawn(
    rng: np.random.Generator, n: int, share: float = 0.5, shift: float = 0.0, stretch: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose log odds are skewed, moved and stretched."""
    y = (rng.random(n) < share).astype(int)
    x = rng.gamma(4, 0.5, n) - 2 + 2.5 * (y - 0.5)
    return y, expit(shift + stretch * x)


def coverage(shifts: tuple[float, ...], cohorts_: int = 300) -> Iterator[dict[str, object]]:
    """How often the true risk of a certified rule is beyond its limit; truth by 50,000 patients."""
    for shift in shifts:
        rng = np.random.default_rng(1)
        new_y, new_p = drawn(rng, 50_000, shift=shift)
        risks = []
        for _ in range(cohorts_):
            y, p = drawn(rng, 400)
            rule = fit_triage(TriagePolicy(max_missed=0.05), y, p)
            assert rule.negative is not None
            risks.append(float((new_p[new_y == 1] < rule.negative.threshold).mean()))
        beyond = float(np.mean(np.array(risks) > 0.05))
        yield {
            "patients": "the same hospital" if not shift else f"log odds shifted by {shift:g}",
            "cohorts": cohorts_,
            "mean true share missed": float(np.mean(risks)),
            "beyond 5 %": beyond,
        }


SITES_SIMULATED = ((-1.0, 1.0, 0.5), (-1.0, 0.8, 0.3), (-0.6, 1.2, 0.7), (0.0, 1.0, 0.5))


def recalibrated(cohorts_: int = 45) -> Iterator[dict[str, object]]:
    """Error of the sensitivity at a site before and after, from 30 labelled patients of it."""
    for shift, stretch, share in SITES_SIMULATED:
        for free in (0, 200):
            before, after, held = [], [], []
            for number in range(cohorts_):
                rng = np.random.default_rng(number)
                y, p = drawn(rng, 400)
                threshold = float(np.quantile(p[y == 1], 0.05))
                labelled = drawn(rng, 30, share, shift, stretch)
                unlabelled = drawn(rng, free, share, shift, stretch)[1]
                judged = number < cohorts_ // 3  # resamples take most of the time
                found = align(y, p, *labelled, unlabelled, resamples=40 if judged else 1)
                new_y, new_p = drawn(rng, 20_000, share, shift, stretch)
                new = new_p[new_y == 1]
                moved = float((new >= found.best.as_site([threshold])[0]).mean())
                before.append(abs(float((new >= threshold).mean()) - 0.95))
                after.append(abs(moved - 0.95))
                if judged:
                    _, low, high = found.sensitivity(p[y == 1], threshold)
                    held.append(low <= moved <= high)
            yield {
                "shift": shift,
                "stretch": stretch,
                "share positive": share,
                "labelled": 30,
                "without label": free,
                "error before": float(np.mean(before)),
                "error after": float(np.mean(after)),
                "interval holds": float(np.mean(held)),
            }


def main() -> None:
    """Write the document."""
    rows = real_answers()
    figures = calibration_figures(rows)
    names = ["target", "probabilities", "n_patients", "n_positive", "slope", "intercept", "ece"]
    names += ["brier", "miscalibration", "discrimination"]
    triage = pd.DataFrame(triaged(rows)).fillna("")
    parts = [
        _INTRODUCTION,
        _CALIBRATION,
        to_markdown(plain_table(figures[names])),
        _TRIAGE,
        to_markdown(plain_table(triage)),
        _COVERAGE,
        to_markdown(plain_table(pd.DataFrame(coverage((0.0, -0.5, -1.0))))),
        _SITE,
        to_markdown(plain_table(pd.DataFrame(recalibrated()))),
        scope_text(),
    ]
    write_text(DOCUMENT, "\n".join(parts))


if __name__ == "__main__":
    main()
