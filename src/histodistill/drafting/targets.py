"""Which columns become targets, and what can be told of each with these patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from histodistill.drafting.asking import Ask
from histodistill.drafting.columns import Candidate
from histodistill.drafting.found import Found
from histodistill.drafting.markers import FoundTarget, target_name, told_others
from histodistill.drafting.setting import Setting
from histodistill.drafting.writing import on_one_line
from histodistill.evaluation.power import auc_standard_error, detectable_difference

_SUPPOSED_AUC, _SUPPOSED_CORRELATION = 0.75, 0.5
_POWER = (
    "What can be told is reckoned by Hanley and McNeil (1982, 1983) for a paired test of two "
    "models on the same patients with 80 % power at a two-sided level of 5 %, supposing that the "
    f"weaker has AUC {_SUPPOSED_AUC} and that the two AUCs correlate by {_SUPPOSED_CORRELATION}."
)
# Two folds, each with a patient to train on and one to validate on.
_FEWEST_OF_A_CLASS = 4
_LISTED_CANDIDATES = 15


def chosen_targets(found: Found, ask: Ask) -> list[FoundTarget]:
    """The targets that are asked for and have enough patients."""
    return [
        target
        for target in found.clinical.targets
        if not _too_few(found, target)
        and ask(f"Predict {target.target.name} (column '{target.target.column}')?", True)
    ]


def _too_few(found: Found, target: FoundTarget) -> bool:
    unknown = not (found.with_slides or found.with_genes)
    fewest = min(found.counts(target.target.name).values())
    return not unknown and fewest < _FEWEST_OF_A_CLASS


def target_setting(found: Found, targets: Sequence[FoundTarget]) -> Setting:
    """The section of the targets, with other columns that could be some.

    Args:
        found: What the files hold.
        targets: Those chosen.
    """
    decide = [*found.clinical.refused]
    for target in found.clinical.targets:
        if _too_few(found, target):
            told = _numbers(found.counts(target.target.name))
            decide.append(
                f"{target.target.name} was left out: {told} with slides or genomics are too few to "
                "train, validate and test on."
            )
    candidates = found.clinical.others[:_LISTED_CANDIDATES]
    if not targets:
        decide.append(
            "no column is taken for a target: "
            + (
                "choose one of the lines below, and check which class is positive."
                if candidates
                else "write one: `NAME: {column: COLUMN, classes: [negative, positive], "
                "positive: positive}`."
            )
        )
    left = len(found.clinical.others) - len(candidates)
    more = [f"({left} more columns have few values.)"] if left > 0 else []
    also = ["Other columns that could be targets:"] if targets and candidates else []
    below = tuple(_target(found, target) for target in targets)
    return Setting(
        "targets",
        below or {},
        (_POWER,) if below else (),
        tuple(decide),
        instead=(*also, *map(_candidate, candidates), *more),
    )


def _target(found: Found, found_target: FoundTarget) -> Setting:
    target = found_target.target
    value: dict[str, Any] = {} if target.column == target.name else {"column": target.column}
    value |= {"classes": list(target.classes), "positive": target.positive}
    value |= {"map": target.map} if target.map else {}
    others = told_others(found_target)
    return Setting(
        target.name,
        value,
        (*_power(found, target.name, str(target.positive)), *([others] if others else [])),
        found_target.doubts,
    )


def _candidate(candidate: Candidate) -> str:
    """A line of YAML that makes a target of a column."""
    name = target_name(candidate.column)
    value: dict[str, Any] = {} if name == candidate.column else {"column": candidate.column}
    value["classes"] = list(candidate.values)
    if candidate.ordered:
        value["ordered"] = True
    if len(candidate.values) == 2:
        # The rarer; of equals the later, as present is after absent and high after low.
        value["positive"] = min(reversed(candidate.values), key=lambda each: candidate.values[each])
    return f"{on_one_line({name: value})[1:-1]}   # {_numbers(candidate.values)}"


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def _power(found: Found, target: str, positive: str) -> Iterator[str]:
    """What can be told of a target with these patients."""
    who, what = (found.with_slides, "slides") if found.slides else (found.with_genes, "genomics")
    if not who:
        return
    counts = found.counts(target, who)
    n_positive = counts[positive]
    n_negative = sum(counts.values()) - n_positive
    told = f"{n_positive} positives of {n_positive + n_negative} patients with {what}"
    if min(n_positive, n_negative) < 1:
        yield f"{told}."
        return
    reach = 1.96 * auc_standard_error(_SUPPOSED_AUC, n_positive, n_negative)
    difference = detectable_difference(
        n_positive, n_negative, auc=_SUPPOSED_AUC, correlation=_SUPPOSED_CORRELATION
    )
    limit = "no difference" if difference is None else f"differences below {difference:.2f}"
    cannot = "can be told at all" if difference is None else "cannot be told"
    yield (
        f"{told}: an AUC is known to ±{reach:.2f}, and {limit} between the AUCs of two models "
        f"{cannot}."
    )
