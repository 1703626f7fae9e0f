"""What a model costs: its size, the time to train it, and the time to ask it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from pydantic import NonNegativeInt
from torch import Tensor

from histodistill.files import write_json
from histodistill.gate.records import Seconds, read_record
from histodistill.model import Batch, NetworkName, Networks
from histodistill.model.unwritten import unwritten
from histodistill.settings import Settings
from histodistill.training.fit.baselines import TIMED_PATIENTS, BaselineCost
from histodistill.training.fit.fitted_model import FittedModel
from histodistill.training.folders import BASELINES, COST
from histodistill.training.loop.clock import clock_of
from histodistill.training.run.planned_fits import Fit

COSTS = "costs.csv"
COLUMNS = (
    *("target", "method", "seed", "repeat", "fold", "network"),
    *("parameters", "training_seconds", "inference_ms"),
)

# A fit of a published cohort in patch features, where none has been measured.
USUAL_SECONDS = 30.0


class _NetworkCost(Settings):
    parameters: NonNegativeInt | None
    inference_ms: Seconds | None


class _Cost(Settings):
    training_seconds: Seconds
    networks: dict[NetworkName, _NetworkCost]


class _BaselineCosts(Settings):
    baselines: dict[str, _Cost]


def write_cost(folder: Path, models: Sequence[FittedModel], patients: Sequence[str]) -> None:
    """Write ``cost.json``: training seconds, and size and speed of every network.

    Args:
        folder: The fit's.
        models: The trained model, or all members of an ensemble, whose costs add up.
        patients: Patients to be timed with, one by one; the first few who can be answered.
    """
    costs = {
        name: {
            "parameters": sum(_parameters(model, name) for model in models),
            "inference_ms": _summed([_inference_ms(model, name, patients) for model in models]),
        }
        for name in models[0].member.networks.settings.networks
    }
    seconds = sum(model.seconds for model in models)
    write_json(folder / COST, {"training_seconds": seconds, "networks": costs})


def _parameters(fitted: FittedModel, name: NetworkName) -> int:
    """Parameters of a network, and of the map that reads its patches as programmes."""
    own = sum(p.numel() for p in fitted.member.networks.get_submodule(name).parameters())
    programmes = fitted.member.transforms.programmes
    if programmes is None or name == "genomic":
        return own
    return own + sum(values.numel() for values in programmes.to_tensors().values())


def _summed(times: Sequence[float | None]) -> float | None:
    """The sum; None where nobody could be timed."""
    known = [time for time in times if time is not None]
    return sum(known) if known else None


def write_baseline_costs(folder: Path, costs: Sequence[BaselineCost]) -> None:
    """Write ``cost.json`` of the fit that holds all baselines of a fold.

    Args:
        folder: The fit's.
        costs: One of every baseline, none of which tells how many parameters it has.
    """
    stored = {
        cost.name: {
            "training_seconds": cost.training_seconds,
            "networks": {cost.network: {"parameters": None, "inference_ms": cost.inference_ms}},
        }
        for cost in costs
    }
    write_json(folder / COST, {"baselines": stored})


def collected_costs(fits: Sequence[Fit], output: Path) -> pd.DataFrame:
    """The costs of all fits that have been measured, a row a fit or baseline and network."""
    rows = [
        {
            "target": fit.target,
            "method": name,
            "seed": fit.seed,
            "repeat": fit.fold.repeat,
            "fold": fit.fold.index,
            "network": network,
            "parameters": cost.parameters,
            "training_seconds": stored.training_seconds,
            "inference_ms": cost.inference_ms,
        }
        for fit in fits
        for name, stored in _stored(fit, output).items()
        for network, cost in stored.networks.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"parameters": "Int64"})


def _stored(fit: Fit, output: Path) -> dict[str, _Cost]:
    """The measured cost of a fit's method, or of each of its baselines; none where unmeasured."""
    path = fit.folder(output) / COST
    if not path.exists():
        return {}
    remedy = f"remove {path.parent} to train this fit again"
    if fit.method == BASELINES:
        return read_record(path, _BaselineCosts, remedy).baselines
    return {fit.method: read_record(path, _Cost, remedy)}


def seconds_of_fits(fits: Sequence[Fit], output: Path) -> dict[str, float]:
    """What a fit of each method will take to train, in seconds.

    A method of which none has been measured costs what the others do on average, or a usual time.
    """
    means = measured_seconds(fits, output)
    usual = statistics.mean(means.values()) if means else USUAL_SECONDS
    return {fit.method: means.get(fit.method, usual) for fit in fits}


def measured_seconds(fits: Sequence[Fit], output: Path) -> dict[str, float]:
    """The mean training time of each method of which a fit has been measured, in seconds."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for fit in fits:
        if stored := _stored(fit, output):
            times[fit.method].append(sum(cost.training_seconds for cost in stored.values()))
    return {method: statistics.mean(own) for method, own in times.items()}


def _inference_ms(fitted: FittedModel, name: NetworkName, patients: Sequence[str]) -> float | None:
    """Median milliseconds a patient, from patches in memory to logits; None without patients."""
    prepared = fitted.prepared
    alone = _alone(fitted.member.networks, name)
    able = [patient for patient in patients if prepared.has_inputs(patient, name)]
    chosen = able[:TIMED_PATIENTS]
    times = []
    for patient in chosen[:1] + chosen:  # the first comes twice: once to warm up
        batch = prepared.batch([patient], device=fitted.device)
        asked = _milliseconds(partial(_answer, alone, batch, name), fitted.device)
        times.append(asked + _map_ms(fitted, name, patient))
    return statistics.median(times[1:]) if chosen else None


def _map_ms(fitted: FittedModel, name: NetworkName, patient: str) -> float:
    """Milliseconds to read a patient's patches as programmes, which batches keep."""
    programmes = fitted.member.transforms.programmes
    if programmes is None or name == "genomic":
        return 0.0
    features = fitted.prepared.features(patient)
    return _milliseconds(lambda: programmes.transform(features).cpu(), fitted.device)


def _alone(networks: Networks, name: NetworkName) -> Networks:
    """One of the networks, the same weights, without the others."""
    if networks.settings.networks == (name,):
        return networks.eval()
    settings = networks.settings.model_copy(update={"networks": (name,)})
    with unwritten():
        alone = Networks(networks.feature_width, networks.blocks, networks.n_classes, settings)
    setattr(alone, name, networks.get_submodule(name))
    return alone.eval()


@torch.inference_mode()
def _answer(network: Networks, batch: Batch, name: NetworkName) -> Tensor:
    logits: Tensor = network(batch)[name].logits
    return logits.cpu()  # waits for a GPU


def _milliseconds(action: Callable[[], object], device: torch.device) -> float:
    clock = clock_of(device)
    started = clock()
    action()
    return 1000 * (clock() - started)
