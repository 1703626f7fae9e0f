"""What a page holds on each topic of the checklists: only what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from histodistill.evaluation.power import detectable_difference
from histodistill.report.checklists.filling import Topic
from histodistill.report.evidence import Evidence
from histodistill.report.target_section import TargetSection


@dataclass(frozen=True)
class PageFacts:
    """What topics are read from.

    Attributes:
        title: The report's.
        predictions: Its predictions.
        described: What the run says of itself, in sentences, by topic.
        evidence: What is known of the patients.
        targets: The sections of the targets.
        versions: Versions of the software.
        external: Whether one model predicted all patients.
        explained: Whether the page tells what drives the answers.
    """

    title: str
    predictions: pd.DataFrame
    described: Mapping[str, str]
    evidence: Evidence
    targets: list[TargetSection]
    versions: Mapping[str, str]
    external: bool
    explained: bool = False


def topics_of(facts: PageFacts) -> dict[str, Topic]:
    """The topics that the page answers."""
    names = ", ".join(target.name for target in facts.targets)
    kind = "evaluates" if facts.external else "develops and cross-validates"
    topics = {
        "title": Topic(f"This study {kind} prediction models of {names}.", "results"),
        "results": Topic("Figures with 95 % intervals and numbers of patients.", "results"),
        "limits": Topic("Limits that hold of such results.", "limits"),
        "research": Topic("Research use only; not a medical device.", "limits"),
        "size": Topic(_size(facts.predictions), "results"),
    }
    if facts.external:
        topics["external"] = Topic("Patients who took no part in training.", "results")
    if facts.explained:
        topics["explained"] = Topic("What drives the answers.", "explained")
    if facts.versions:
        listed = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
        topics["versions"] = Topic(f"Software: {listed}.", "run")
    topics |= {name: Topic(said, "run") for name, said in facts.described.items()}
    topics |= _of_evidence(facts.evidence)
    for target in facts.targets[:1]:
        topics |= _of_target(target)
    return topics


def _size(predictions: pd.DataFrame) -> str:
    """Patients of each target, and the smallest difference of AUCs that they can show."""
    told = []
    for target, rows in predictions.groupby("target", sort=False):
        known = rows.drop_duplicates("PATIENT").dropna(subset=["label"])
        text = f"{target}: {len(known)} patients"
        if rows["positive_class"].notna().any():
            positive = int((known["label"] == known["positive_class"]).sum())
            found = detectable_difference(positive, len(known) - positive)
            if found is not None:
                text += f", which show a difference of AUCs of {found:.3f} with 80 % power"
        told.append(text)
    return "; ".join(told) + "."


def _of_evidence(evidence: Evidence) -> dict[str, Topic]:
    found = {
        "flow": ("Who is in, who was left out, and why.", "flow", evidence.flow),
        "sites": ("Classes by site.", "sites", evidence.sites),
        "divisions": ("Parts of each fold, by class and site.", "folds", evidence.folds),
        "checks": ("The leakage audit.", "checks", evidence.checks),
        "cohort": ("Patients by class: slides, hospitals, age.", "cohort", evidence.patients),
    }
    topics = {n: Topic(said, anchor) for n, (said, anchor, has) in found.items() if has is not None}
    if evidence.sites is not None and evidence.sites["site"].nunique() < 2:
        del topics["sites"]
    return topics


def _of_target(target: TargetSection) -> dict[str, Topic]:
    """What is told in depth, of the first target; the others have the same sections."""
    depth, learning = target.depth, target.learning
    subgroups = depth.subgroups.table if depth and depth.subgroups else None
    found: dict[str, tuple[str, str, object]] = {
        "confusion": ("Who was called what.", "confusion-1", target.confusion),
        "learning": ("AUC by number of labels.", "learning-1", learning),
        "calibration": ("Slope, intercept, reliability.", "calibration-1", target.calibration),
    }
    if depth is not None:
        found |= {
            "distribution": ("Probabilities by outcome.", "distribution-1", depth.distribution),
            "subgroups": ("AUC by subgroup, with a test.", "subgroups-1", subgroups),
            "confounders": ("Strata, clinical columns, site.", "confounders-1", depth.confounders),
            "errors": ("The worst errors.", "errors-1", depth.errors),
            "triage": ("Who is sent to a test instead.", "triage-1", depth.utility),
        }
    return {n: Topic(said, anchor) for n, (said, anchor, has) in found.items() if has is not None}
