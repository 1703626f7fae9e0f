"""The model card: what a person must know before using a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from histodistill.deploy.calibration import BundleCalibration
from histodistill.deploy.info import BundleInfo
from histodistill.evaluation import metric_label
from histodistill.markdown import in_markdown
from histodistill.model import NetworkSettings

_CARD = """\
# {target}: {method}

**Research use only. Not a medical device; not for diagnosis or treatment decisions.**

- Recipe: {recipe}
- Predicts: {target}, classes {classes}{positive}
- Patch features: {features}
- Patches are read as: {patches}
- Genomic blocks: {blocks}
- Networks: {networks}
- Members averaged: {members}
- Operating thresholds, chosen on validation patients: {thresholds}
- Code of other packages: {code}
- Calibration: {calibration}
- Triage policy: {triage}
- Learnt from: {learnt_from}
- Hospitals: {sites}
- Written: {written}

## Performance

{performance}

A prediction from slides alone is as good as the slides resemble the training ones:
same stain and scanner family, same patch encoder, same tiling. Measure it on your own
patients before you rely on it.

## Provenance

```json
{provenance}
```
"""


_UNMEASURED = """\
Not known to this bundle: no finished cross-validation of its method was found when it was
written."""

_AVERAGED = """

AUC, average precision, sensitivity and specificity are unweighted means over the classes, each
against the rest."""
_MEASURED = """\
Cross-validation of the same method ({folds} folds), the out-of-fold patients pooled, with 95 %
intervals. This very model has not been measured on patients whom it has not seen.

"""


def model_card(
    info: BundleInfo,
    members: Sequence[Mapping[str, Any]],
    written: date | None = None,
    calibration: BundleCalibration | None = None,
    n_prototypes: Sequence[int] = (),
    n_detectors: Sequence[int] = (),
) -> str:
    """A Markdown model card.

    Args:
        info: What the bundle says of itself.
        members: For each member, its ``architecture`` and ``thresholds``.
        written: The day that it shows.
        calibration: Its calibrators.
        n_prototypes: How many prototypes of tissue each member reads patches by.
        n_detectors: How many detectors of patches each member's first programme is told by.
    """
    features = info.features
    thresholds = [
        ", ".join(f"{name} {value:.3f}" for name, value in member["thresholds"].items())
        for member in members
    ]
    return _CARD.format(
        target=in_markdown(info.target),
        method=in_markdown(info.method),
        recipe=in_markdown(info.recipe),
        classes=in_markdown(", ".join(info.classes)),
        positive=in_markdown(f"; the positive class is {info.positive}" if info.positive else ""),
        features=in_markdown(f"{features.encoder or 'encoder not recorded'}, {features.width} wide")
        if features
        else "none",
        patches=_patches(members[0]["architecture"]["settings"], n_prototypes, n_detectors),
        blocks=in_markdown(", ".join(info.blocks)) or "none",
        networks=", ".join(members[0]["architecture"]["settings"]["networks"]),
        members=len(members),
        thresholds="; ".join(thresholds).strip("; ") or "none",
        code=_code(members[0]["architecture"]["settings"]),
        calibration=_calibrated(info, calibration),
        triage=_policy(calibration),
        learnt_from=_counted(info.provenance.get("classes")) + _simulated(info),
        sites=_hospitals(info.provenance.get("sites")),
        written=written.isoformat() if written else "not recorded",
        performance=_performance(info.provenance.get("performance")),
        provenance=json.dumps(info.provenance, indent=2),
    )


def _patches(
    settings: Mapping[str, Any], n_prototypes: Sequence[int], n_detectors: Sequence[int]
) -> str:
    """What the student sees of a patch; and where prototypes that were asked for are not read."""
    if settings.get("programmes") is None:
        return "their features"
    read = f"{settings['programmes']} expression programmes, predicted from squashed features"
    counts = " or ".join(str(n) for n in sorted(set(n_prototypes)) if n)
    if counts:
        detected = _detected(n_detectors) if settings.get("proportions") else ""
        return f"{read} and {counts} prototypes of tissue{detected}"
    if settings.get("prototypes") is not None:
        return f"{read} alone: patches hardly differ within slides, which makes no prototypes"
    return read


def _detected(n_detectors: Sequence[int]) -> str:
    """In how many members detectors of patches have proved their worth."""
    n_reading = sum(n > 0 for n in n_detectors)
    if n_reading == len(n_detectors):
        return ", the first also from detectors of patches"
    return (
        f", the first also from detectors of patches in {n_reading} of {len(n_detectors)} models "
        "(left out where they added nothing for training patients that they had not seen)"
    )


def _calibrated(info: BundleInfo, calibration: BundleCalibration | None) -> str:
    if calibration is None or not calibration.networks:
        return "none"
    told = (f"{name} {each.sentence(info.classes)}" for name, each in calibration.networks.items())
    return in_markdown("; ".join(told))


def _policy(calibration: BundleCalibration | None) -> str:
    if calibration is None or calibration.triage is None:
        return "none stated"
    stated = calibration.triage.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in stated.items())


def _counted(counts: Mapping[str, int] | None) -> str:
    if not counts:
        return "not recorded"
    named = ", ".join(f"{n} {in_markdown(name)}" for name, n in counts.items())
    return f"{sum(counts.values())} patients ({named})"


def _simulated(info: BundleInfo) -> str:
    simulated = info.provenance.get("simulated")
    return "; **all simulated: no figure is of a real patient**" if simulated else ""


def _code(settings: Mapping[str, Any]) -> str:
    """Networks that are named by import paths, and how they are allowed."""
    paths = NetworkSettings.model_validate(settings).import_paths
    if not paths:
        return "none"
    named = ", ".join(f"`{path}`" for path in paths)
    allowed = " ".join(f"--allow {path}" for path in paths)
    return f"{named}; who trusts it loads the bundle with `{allowed}`"


def _hospitals(counts: Mapping[str, int] | None) -> str:
    if not counts:
        return "not recorded"
    named = ", ".join(f"{in_markdown(name)} ({n})" for name, n in counts.items())
    return f"{len(counts)}, with the patients of each: {named}"


def _performance(figures: Sequence[Mapping[str, Any]] | None) -> str:
    """A table of what cross-validation measured, a row a network."""
    if not figures:
        return _UNMEASURED
    metrics = list(dict.fromkeys(figure["metric"] for figure in figures))
    by = "by class" if figures[0]["positive"] is None else "positive / negative"
    header = ("Network", f"n ({by})", *(metric_label(name) for name in metrics))
    lines = [header, ("---",) * len(header)]
    for network in dict.fromkeys(figure["network"] for figure in figures):
        own = {f["metric"]: f for f in figures if f["network"] == network}
        first = next(iter(own.values()))
        lines.append((network, _patients(first), *(_figure(own[name]) for name in metrics)))
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    averaged = _AVERAGED if figures[0]["positive"] is None else ""
    return _MEASURED.format(folds=figures[0]["folds"]) + rows + averaged


def _patients(figure: Mapping[str, Any]) -> str:
    """Patients, and those of each class; earlier versions counted no more than two classes."""
    n, positive = figure["patients"], figure["positive"]
    if positive is not None:
        return f"{n} ({positive} / {n - positive})"
    return in_markdown(f"{n} ({figure['classes']})") if "classes" in figure else str(n)


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["estimate"] is None:
        return "undefined"
    if figure["low"] is None:
        return f"{figure['estimate']:.3f}"
    return f"{figure['estimate']:.3f} [{figure['low']:.3f}–{figure['high']:.3f}]"
