"""Write docs/trust.md: what calibration and triage do on real and on simulated patients.

    python experiments/trust.py              # all sections, about an hour of processor time
    python experiments/trust.py Triage       # this one alone; the others stay as they are

Real: the cohort of experiments/tcga-brca-sites.yaml, divisions in which no hospital is in two parts
(trust_real.py). Simulated: patients whose truth is known, from the same hospital and from a shifted
one (trust_simulated.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import out_of_scope
import pandas as pd
from trust_real import (
    aim_text,
    calibration_text,
    logistic_answers,
    network_answers,
    triage_text,
    triaged,
)
from trust_simulated import coverage, recalibrated

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
`programmes` stands [below](#the-network), on fewer divisions.
"""

_CALIBRATION = """\
## Calibration

Aim: ECE of .05 or less and a slope of .9 to 1.1 for ER and PR after calibration. The weights that
balance the classes make the given probabilities those of a cohort that is half positive.
"""

_TRIAGE = """
## Triage

Thresholds chosen on four folds of other hospitals, judged on the fifth. *spared*, *missed* (of
the positive) and *false alarms* (of the negative) are shares, means over the divisions; the
sensitivity is what *missed* leaves of 1. *beyond*: in how many of the divisions a stated share was
passed; *by chance*: how probable so many, or more, are where each is passed in the 5 % that 95 %
confidence allows (as if the divisions were independent; they are of the same patients). *refused*:
the training folds are too few patients to certify the policy. Costs are of a missed patient, a
false alarm and an IHC.

{apart}

A promise is for patients like those that certified it, and **one of them is not kept here: HER2's
false alarms**.
{her2}
Patients of other hospitals are not like those that certified it: a receptor that these features
hardly tell (see *discrimination*) is called by what its hospitals have in common. The same with all
hospitals in all parts, where certified and judged patients are alike:

{mixed}

Costs call most patients where a class is frequent: they promise no risk, and their false alarms
are what was paid for.
"""

_HER2 = (
    "At most {limit:g} % are stated, {beyond} of {divisions} divisions have more (mean "
    "{share:.1f} %), and {allowed:g} is what the confidence allows."
)

_NETWORK = """
## The network

`programmes` as the experiment has it (five members, calibrated on what each is held out from), on
the first of these divisions: a fold takes half a minute of processor time, and twenty divisions of
three targets 2.5 hours. One division counts nothing beyond a share. {aim}

{calibration}

{triage}
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


def calibration_section() -> str:
    """Calibration of logistic regression."""
    rows = logistic_answers()
    return f"{_CALIBRATION}{aim_text(rows)}\n\n{calibration_text(rows)}"


def triage_section() -> str:
    """Triage with hospitals apart, and mixed."""
    rows = logistic_answers()
    her2 = next(
        row
        for row in triaged(rows[rows["target"] == "HER2"])
        if row["policy"] == "at most 5 % false alarms"
    )
    told = _HER2.format(
        limit=5,
        beyond=her2["beyond"],
        divisions=her2["divisions"],
        share=100 * float(str(her2["false alarms"])),
        allowed=0.05 * int(str(her2["divisions"])),
    )
    mixed = triage_text(logistic_answers(mixed=True))
    return _TRIAGE.format(apart=triage_text(rows), her2=told, mixed=mixed)


def network_section() -> str:
    """The same of the network."""
    rows = network_answers()
    return _NETWORK.format(
        aim=aim_text(rows), calibration=calibration_text(rows), triage=triage_text(rows)
    )


def coverage_section() -> str:
    """Coverage by simulation."""
    return _COVERAGE + "\n" + to_markdown(plain_table(pd.DataFrame(coverage((0.0, -0.5, -1.0)))))


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
    known = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", _present(), re.DOTALL | re.MULTILINE))
    made = {
        name: make().lstrip() if name in names or name not in known else f"## {name}\n{known[name]}"
        for name, make in SECTIONS.items()
    }
    return "\n\n".join(part.strip() for part in (_INTRODUCTION, *made.values())) + "\n"


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
