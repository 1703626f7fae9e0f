"""Write the table of docs/explain.md: how faithful maps of other kinds are to the same models.

    histodistill simulate demo/paired
    histodistill crossval examples/suite.yaml
    histodistill crossval experiments/faithfulness.yaml
    python experiments/faithfulness.py

The models are those of the folds; every map is of a test patient whom its model had not seen. All
kinds of map are measured in the same way: by the symmetric relevance gain (SRG) of the positive
class, in 200 steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import t as student_t

from histodistill import Bundle, load, read_experiment
from histodistill.experiment import Experiment
from histodistill.explanation.contributions import Contributions, pooled_contributions
from histodistill.explanation.faithfulness import faithfulness
from histodistill.explanation.removal import removal_of
from histodistill.features import BagStore
from histodistill.files import write_text
from histodistill.inference import Member
from histodistill.model import Bags
from histodistill.model.pooling.parts import PooledParts
from histodistill.preparation import PreparedPatients
from histodistill.training import fits_of
from histodistill.training.folders import MODEL

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "explain.md"
START, END = "<!-- faithfulness: written by experiments/faithfulness.py -->", "<!-- end -->"
EXPERIMENTS = (HERE.parent / "examples" / "suite.yaml", HERE / "faithfulness.yaml")
METHODS = ("abmil", "mkd", "programmes")
KINDS = (
    "contribution",
    "against average",
    "leave-one-out",
    "size of gradient x input",
    "random",
    "attention",
)
STEPS = 200

Floats = NDArray[np.float64]


def main() -> None:
    """Measure the maps of both cohorts, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="*", type=Path, default=EXPERIMENTS)
    parser.add_argument("--print-only", action="store_true", help="leave the document as it is")
    options = parser.parse_args()
    table = "\n".join(rows(options.experiments))
    print(table)
    if not options.print_only:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, rest = text.split(START)
        _, after = rest.split(END)
        write_text(DOCUMENT, f"{before}{START}\n\n{table}\n\n{END}{after}")


def rows(experiments: Sequence[Path]) -> Iterator[str]:
    """The table in Markdown: a row a cohort and method."""
    yield f"| cohort | student of | patients | {' | '.join(KINDS)} |"
    yield "|---|---|---|" + "---|" * len(KINDS)
    for file in experiments:
        experiment = read_experiment(file)
        for method in METHODS:
            measured = srg_of(experiment, method)
            cells = " | ".join(_figure(measured[kind]) for kind in KINDS)
            cohort = "simulated" if experiment.simulated else "real"
            yield f"| {cohort} | `{method}` | {len(measured)} | {cells} |"


def srg_of(experiment: Experiment, method: str) -> pd.DataFrame:
    """SRG of each kind of map, a row a test patient with slides."""
    data = load(experiment)
    assert data.bags is not None
    seed = experiment.seeds_of(method)[0]
    found = []
    for fit in fits_of(experiment, data):
        if (fit.method, fit.seed) == (method, seed):
            bundle = Bundle.load(fit.folder(experiment.output) / MODEL)
            patients = [p for p in fit.fold.test if p in data.with_slides]
            target = bundle.info.positive_index
            assert target is not None
            ready = [(member, _prepared(member, data.bags)) for member in bundle.members]
            found += [_patient(ready, target, patient) for patient in patients]
    return pd.DataFrame(found)


def _student(member: Member) -> Any:
    return member.networks.student


def _patient(
    ready: Sequence[tuple[Member, PreparedPatients]], target: int, patient: str
) -> dict[str, float]:
    read = [(member, _bag(prepared, patient)) for member, prepared in ready]
    parts = [_student(member).parts(own) for member, own in read]
    removals = [removal_of(each) for each in parts]
    block = np.zeros(len(parts[0].hidden), dtype=np.int64)
    random = np.random.default_rng(len(block)).permutation(len(block)).astype(np.float64)
    maps = {
        "contribution": _mean([pooled_contributions(p).support(target) for p in parts]),
        "against average": _mean([_against_average(p).support(target) for p in parts]),
        "leave-one-out": _mean([_left_out(p, target) for p in parts]),
        "size of gradient x input": _mean([_gradient(member, own, target) for member, own in read]),
        "random": random,
        "attention": _mean([p.weights.mean(dim=1).numpy() for p in parts]),
    }
    return {
        kind: faithfulness(removals, support, target, block, STEPS).srg
        for kind, support in maps.items()
    }


def _prepared(member: Member, bags: BagStore) -> PreparedPatients:
    member.networks.requires_grad_(requires_grad=False)
    size = member.networks.settings.token_size
    return PreparedPatients(bags, member.transforms.scaled({}), member.transforms, size)


def _bag(prepared: PreparedPatients, patient: str) -> Bags:
    batch = prepared.batch([patient], device=torch.device("cpu"))
    assert batch.bags is not None
    return batch.bags


def _against_average(parts: PooledParts) -> Contributions:
    """Shares by how a patch differs from the bag's average patch."""
    found = pooled_contributions(parts).against_average()
    assert found is not None  # the patches of these networks are weighted and added up
    return found


def _left_out(parts: PooledParts, target: int) -> Floats:
    """What the log odds lose without each patch."""
    mass, hidden = parts.mass, parts.hidden.double()
    total, weight = torch.einsum("nb,nd->bd", mass, hidden), mass.sum(dim=0)
    left = (total - mass[:, :, None] * hidden[:, None]) / (weight - mass)[:, :, None]
    without = _margin(parts.head(left.to(parts.hidden.dtype)), target)
    whole = _margin(parts.head(parts.pooled()[None].to(parts.hidden.dtype)), target)
    return np.asarray((whole - without).double().numpy())


def _gradient(member: Member, bags: Bags, target: int) -> Floats:
    """Mean size of gradient times input over the features of each patch."""
    patches = bags.patches.detach().clone().requires_grad_()
    own = Bags((patches,), bags.sizes, bags.rows, None, patches.dtype)
    parts = _student(member).parts(own)
    pooled = torch.einsum("nb,nd->bd", torch.softmax(parts.scores, dim=0), parts.hidden)
    probability = torch.softmax(parts.head(pooled[None])[0], dim=0)[target]
    (slope,) = torch.autograd.grad(probability, patches)
    return np.asarray((slope * patches).abs().mean(dim=1).detach().double().numpy())


def _margin(logits: torch.Tensor, target: int) -> torch.Tensor:
    others = logits.sum(dim=1) - logits[:, target]
    return logits[:, target] - others / (logits.shape[1] - 1)


def _mean(maps: Sequence[Floats]) -> Floats:
    return np.asarray(np.mean(maps, axis=0))


def _figure(values: pd.Series) -> str:
    margin = values.std(ddof=1) / np.sqrt(len(values)) * student_t.ppf(0.975, len(values) - 1)
    return f"{values.mean():.3f} ± {margin:.3f}"


if __name__ == "__main__":
    main()
