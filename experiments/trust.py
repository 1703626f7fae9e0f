"""Write docs/trust.md: what calibration and triage do on real and on simulated patients.

    python experiments/trust.py              # all sections; processor time: see below
    python experiments/trust.py Triage       # this one alone; the others stay as they are

Real: the cohort of experiments/tcga-brca-sites.yaml, divisions in which no hospital is in two parts
(trust_real.py), and finished runs of the network (trust_network.py). Simulated: patients whose
truth is known, from the same hospital, from others and from a shifted one (trust_simulated.py).
Answers of logistic regression are kept in `runs`: they take five minutes of processor time,
everything else a few. "The network" reads the folders of two finished suites there, which take
hours.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import out_of_scope
import pandas as pd
from trust_network import (
    APART,
    MIXED,
    calibrators_compared,
    hospital_spread,
    network_answers,
)
from trust_real import logistic_answers
from trust_simulated import coverage, hospital_coverage, recalibrated
from trust_tables import aim_text, broken_text, calibration_text, triage_text, triaged

from histodistill.files import write_text
from histodistill.report import plain_table, to_markdown

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "trust.md"

_INTRODUCTION = """\
# What calibration and triage do

Made by `python experiments/trust.py`. Research use only. What the words mean: [Calibrated
answers, and a new site](how-to/trust.md), [Whom could it spare a test?](how-to/triage.md)

The real cohort: labelled TCGA-BRCA patients with open slide features (maps of published CNNs and
morphometrics, not a pathology foundation model). Twenty divisions into five folds in which no
hospital is in two parts; logistic regression on the mean patch (classes balanced by weight), five
members as with `training.members: 5`, each held out from other training hospitals, which
calibrate their average. All figures are out of fold, means over the twenty divisions. The network
`programmes` stands [below](#the-network).
"""

_CALIBRATION = """\
## Calibration

Aim: ECE of .05 or less and a slope of .9 to 1.1 for ER and PR after calibration. The weights that
balance the classes make the given probabilities those of a cohort that is half positive. *ece if
perfect*: what so many patients show of a model whose probabilities are right, by chance alone, on
average and in 95 of 100 cohorts; the ECE has no interval of its own, since that of a bootstrap does
not cover it. Intervals of the slope are of patients.
"""

_TRIAGE = """
## Triage

Thresholds chosen on four folds of other hospitals, judged on the fifth. *certified*: in how many of
the divisions the patients support the policy, and why they do not in the others; everything else
is of those in which they do. *spared*, *missed* (of the positive) and *false alarms* (of the
negative) are shares, means over the divisions; the sensitivity is what *missed* leaves of 1. The
divisions are of the same patients, so that they are no twenty tests of a promise: the interval is
that of their mean, by drawing hospitals again, and a promise is shown to be broken where the whole
interval lies above the stated share. *above*: in how many divisions the share itself lies above it,
where 95 % confidence allows one of twenty.

{apart}

{broken}
ER and PR miss {er} and {pr} of the positive where 5 % are stated: what 95 % confidence leaves of a
bound lies well below it where hospitals are few. HER2 is refused, or certified in few of the
divisions: its positive patients are few, and what goes wrong with it goes wrong in few hospitals,
so that all of its patients count as a few dozen (see *refused*).

### If the patients were of the same hospitals

The same policies, certified as if patients of other hospitals were like these (which is what is
promised where hospitals are in several folds):

{alike}

{alike_broken}
In {her2} divisions HER2's false alarms lie above 5 %, and the interval shows why this is no test:
what twelve hospitals say of the next is wide. Costs call most patients where a class is frequent:
they promise no risk, and their false alarms are what was paid for.

With all hospitals in all parts, where certified and judged patients are alike indeed:

{mixed}
"""

_NETWORK = """
## The network

`programmes` as its recipe has it: five members, calibrated on what each is held out from.

### Hospitals apart

The run of `experiments/tcga-brca-sites.yaml`: one division, three seeds, each counted as a division
here; they are of the same folds, so that they show the chance of training and not that of the
division. {apart_aim}

{apart}

{triage}

### Hospitals mixed

The run of `experiments/tcga-brca-repeats.yaml`: ten divisions, all hospitals in all parts.
{mixed_aim}

{mixed}

### What is left

Hospitals differ: *spread* is the mean over hospitals with ten patients or more of the squared
surplus of positive patients over its variance, 1 where probabilities are right in each of them.
What a hospital's own level is cannot be learnt from others; [recalibration](#a-new-site-simulated)
on its own patients is what mends it.

{spread}

Another calibrator does not mend it. *inner log loss*: on held-out answers of training hospitals
that the calibrator was not fitted on, by which one could choose; *ece*, *slope* and *brier*: of the
test patients, hospitals apart, mean over the seeds. `auto` is what is used. {chosen}

{calibrators}
"""

_COVERAGE = """
## Coverage, with a known truth

Simulated: the true share missed by rules that are certified for "miss at most 5 %". Patients of 27
hospitals, whose scores have a standard deviation of 1 within a hospital and of *between hospitals*
among their means; how often the share that is missed in all hospitals there could be is beyond 5 %
(5 in 100 are what 95 % confidence allows). A promise to patients like these is none to other
hospitals where hospitals differ; one to other hospitals holds.

{hospitals}

No promise is one to a hospital whose scores are all shifted. 400 patients of one hospital, skewed
scores, AUC about .96:

{shifted}
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


def calibration_section() -> str:
    """Calibration of logistic regression."""
    rows = logistic_answers()
    return f"{_CALIBRATION}\n{aim_text(rows)}\n\n{calibration_text(rows)}"


def triage_section() -> str:
    """Triage with hospitals apart, for other hospitals and for patients alike, and mixed."""
    rows = logistic_answers()
    apart, alike = (list(triaged(rows, other=other)) for other in (True, False))
    told = (row for row in apart if row["policy"] == "miss at most 5 %")
    missed = {row["target"]: row.get("missed [95 %]", "refused") for row in told}
    (her2,) = (
        row
        for row in alike
        if (row["target"], row["policy"]) == ("HER2", "at most 5 % false alarms")
    )
    return _TRIAGE.format(
        apart=triage_text(apart),
        broken=broken_text(apart),
        er=missed["ER"],
        pr=missed["PR"],
        alike=triage_text(alike),
        alike_broken=broken_text(alike),
        her2=f"{her2['above']} of 20",
        mixed=triage_text(triaged(logistic_answers(mixed=True), other=False)),
    )


def network_section() -> str:
    """The same of the network, hospitals apart and mixed, and what no calibrator mends."""
    apart, mixed = network_answers(APART), network_answers(MIXED)
    spread = hospital_spread(apart).merge(
        hospital_spread(mixed), on=["target", "hospitals"], suffixes=(", apart", ", mixed")
    )
    compared = calibrators_compared()
    return _NETWORK.format(
        apart_aim=aim_text(apart),
        apart=calibration_text(apart),
        triage=triage_text(triaged(apart, other=True)),
        mixed_aim=aim_text(mixed),
        mixed=calibration_text(mixed),
        spread=to_markdown(plain_table(spread)),
        chosen=_chosen_text(compared),
        calibrators=to_markdown(plain_table(compared)),
    )


def _chosen_text(compared: pd.DataFrame) -> str:
    """What the inner choice would take, and what it would come to."""
    told = []
    for target, own in compared.groupby("target", sort=False):
        best = own.sort_values("inner log loss").iloc[0]
        auto = own[own["calibrator"] == "auto"].iloc[0]
        told.append(
            f"{target}'s inner choice is {best['calibrator']} (ECE {best['ece']:.3f} where auto "
            f"has {auto['ece']:.3f}, Brier score {best['brier']:.4f} and {auto['brier']:.4f})"
        )
    return f"{'; '.join(told)}."


def coverage_section() -> str:
    """Coverage by simulation."""
    hospitals, shifted = hospital_coverage(), coverage((0.0, -0.5, -1.0))
    tables = (to_markdown(plain_table(pd.DataFrame(rows))) for rows in (hospitals, shifted))
    return _COVERAGE.format(**dict(zip(("hospitals", "shifted"), tables, strict=True)))


def site_section() -> str:
    """Recalibration by simulation."""
    return _SITE + "\n" + to_markdown(plain_table(pd.DataFrame(recalibrated())))


SECTIONS: dict[str, Callable[[], str]] = {
    "Calibration": calibration_section,
    "Triage": triage_section,
    "The network": network_section,
    "Coverage, with a known truth": coverage_section,
    "A new site, simulated": site_section,
    "Out of scope": scope_text,
}


def written(names: Collection[str]) -> str:
    """The document, those of its sections made anew."""
    made = {name: make().lstrip() for name, make in SECTIONS.items() if name in names}
    known = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", _present(), re.DOTALL | re.MULTILINE))
    kept = {name: f"## {name}\n{known[name]}" for name in SECTIONS if name in known}
    sections = [
        made[name] if name in made else kept.get(name) or make().lstrip()
        for name, make in SECTIONS.items()
    ]
    return "\n\n".join(part.strip() for part in (_INTRODUCTION, *sections)) + "\n"


def _present() -> str:
    return DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""


def main() -> None:
    """Write the document."""
    asked = set(sys.argv[1:]) or set(SECTIONS)
    if unknown := asked - set(SECTIONS):
        sys.exit(f"no section {', '.join(unknown)}: {', '.join(SECTIONS)}")
    write_text(DOCUMENT, written(asked))


if __name__ == "__main__":
    main()
