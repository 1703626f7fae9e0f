"""How well maps find what is true in simulated slides; writes three tables of docs/explain.md.

    python experiments/map_truth.py maps
    python experiments/map_truth.py use
    python experiments/map_truth.py marks
    python experiments/map_truth.py maps --method programmes

The last writes the rows of one method and keeps the others. Finished trainings of the folder are
taken as they are; another folder (`--folder`) begins anew.

The simulation knows which patches show the latent that tells the label, and which a confounder.
For each test patient, the area under the ROC curve of a map against those patches says how well
it finds them; told is the mean over patients. A patient whose latent is near its mean shows
nothing to find; what such patients do to the mean has a column of its own. So has a patch's place
along the direction in which the simulation moved it, which no model knows: the best that a patch's
place in one direction can tell.

What a model does not use, no map that is true of it can find. The tables of use and of marks tell
how far the probability falls (towards the other class) without the patches to be found.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.special import softmax

from histodistill import cross_validate, explain, fold_ensemble, load, read_experiment
from histodistill.evaluation import roc_auc
from histodistill.explanation.patients import PatientMap
from histodistill.files import write_text
from histodistill.report import Cell, Section, Table, to_markdown
from histodistill.simulation import Confounder, SimulationSettings, draw_truth, simulate_cohort
from histodistill.simulation.patches import PatchModel, draw_patch_model
from histodistill.simulation.truth import SimulatedSlide, slides_of

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/explain.md"
END = "<!-- end of the table -->"
# The default training stops after five epochs without gain, which may be before attention has
# found the tumour; a longer one tells that apart from what the data lack.
SMALL = {"network": {"width": 64, "attention_width": 32, "fusion_width": 16, "token_size": 64}}
LONGER = {"training": {"learning_rate": 1e-3, "patience": 15}}
Methods = dict[str, dict[str, object]]
TRAINED: Methods = {
    "abmil": {**SMALL, **LONGER},
    "mkd": {**SMALL, **LONGER},
    "programmes": {},
}
DEFAULT: Methods = {f"{name}-default": {"recipe": name, **SMALL} for name in ("abmil", "mkd")}
# Which part of MKD's objective keeps its student from the tumour, and how long it is trained.
PARTS_OF_MKD = {
    "abmil": ("abmil", 15),
    "mkd": ("mkd", 15),
    "mkd-nostop": ("mkd", 60),
    "labels-only": ("mkd-labels-only", 15),
    "labels-only-nostop": ("mkd-labels-only", 60),
    "no-sim": ("mkd-no-similarity", 30),
    "no-collab": ("mkd-no-collaboration", 30),
    "no-decomp": ("mkd-no-decomposition", 30),
    "no-orth": ("mkd-no-orthogonality", 30),
}
ABLATED: Methods = {
    name: {"recipe": recipe, **SMALL, "training": {"learning_rate": 1e-3, "patience": patience}}
    for name, (recipe, patience) in PARTS_OF_MKD.items()
}
# From here on a patient's latent is far enough from its mean to be seen.
VISIBLE = 0.5
MANY = SimulationSettings(
    n_patients=1000,
    min_patches=30,
    max_patches=50,
    tumour_share=0.3,
    share_without_label=0.0,
    share_without_genomics=0.0,
    share_with_two_slides=0.0,
)
CLEAR = replace(
    MANY,
    n_patients=600,
    width=32,
    min_patches=12,
    max_patches=20,
    tumour_share=0.5,
    tumour_shift=4.0,
)
Cohorts = dict[str, tuple[SimulationSettings, Methods]]
MAPS: Cohorts = {
    "200 patients": (replace(MANY, n_patients=200), DEFAULT | TRAINED),
    "1,000 patients": (MANY, DEFAULT | TRAINED),
    "600, clear tumour": (CLEAR, DEFAULT | TRAINED),
    "1,000, confounded": (replace(MANY, confounder=Confounder(shift=6.0)), DEFAULT | TRAINED),
}
USE: Cohorts = {"1,000 patients": (MANY, ABLATED)}
MARKS: Cohorts = {
    f"1,000, mark of {shift:g}": (
        replace(MANY, confounder=Confounder(shift=shift)),
        {"abmil": ABLATED["abmil"]},
    )
    for shift in (2.0, 4.0)
}
# One hospital is kept apart, and tested.
EXPERIMENT = {
    "name": "Maps of simulated slides",
    "simulated": True,
    "cohort": {
        "clinical": "cohort/clinical.csv",
        "slides": "cohort/slides.csv",
        "site_column": "SITE",
    },
    "features": {"directory": "cohort/features", "standardise": True},
    "genomics": {"mrna": {"file": "cohort/mrna_zscores.txt"}},
    "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
    "splits": {"scheme": "external", "external_sites": ["S05"]},
    "baselines": [],
    "output": "results",
}
FIGURES = ("AUC of ER", "attention", "share", "against average", "all patients", "best", "moves")
# For each table its cohorts, its last column, and the mark before it.
TABLES = {
    "maps": (MAPS, "best", "<!-- written by experiments/map_truth.py -->"),
    "use": (USE, "moves", "<!-- written by experiments/map_truth.py use -->"),
    "marks": (MARKS, "moves", "<!-- written by experiments/map_truth.py marks -->"),
}


@dataclass(frozen=True)
class Found:
    """AUC of maps of one patient against the patches to be found; NaN where all are, or none.

    Attributes:
        attention: Of attention.
        share: Of the shares in the logit.
        difference: Of the shares against the bag's average patch.
        best: Of the patches' place along the true direction.
        moves: How far the probability falls without the patches to be found.
    """

    attention: float
    share: float
    difference: float
    best: float
    moves: float


@dataclass(frozen=True)
class Judged:
    """How well a method's maps find what is true, and how well it answers.

    Attributes:
        auc: AUC of its student on the test patients.
        visible: Means over the test patients with something to find.
        everybody: The same over all test patients.
    """

    auc: float
    visible: Found
    everybody: Found


def main() -> None:
    """Simulate, train, judge, and write a table between the document's two marks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--method", action="append", help="write the rows of these alone")
    parser.add_argument("--folder", type=Path, default=ROOT / "demo/map-truth")
    options = parser.parse_args()
    cohorts, last, start = TABLES[options.table]
    shown = FIGURES[: FIGURES.index(last) + 1]
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(start)
    written, _, after = rest.partition(END)
    rows = _rows(written)
    for cohort, (settings, methods) in cohorts.items():
        chosen = {n: own for n, own in methods.items() if n in (options.method or methods)}
        folder = options.folder.resolve() / cohort.replace(",", "").replace(" ", "-")
        for method, judged in judge(settings, chosen, folder) if chosen else ():
            figures = [f"{figure:.2f}" for figure in _figures(judged)[: len(shown)]]
            rows[cohort, method] = (cohort, method, *figures)
            print(*rows[cohort, method], sep=" | ", flush=True)
    known = [row for (c, m), row in rows.items() if c in cohorts and m in cohorts[c][1]]
    cells = tuple(tuple(map(Cell, row)) for row in known)
    table = to_markdown(Table(("cohort", "method", *shown), (Section("", cells),)))
    write_text(DOCUMENT, f"{before}{start}\n\n{table}\n{END}{after}")


def _rows(table: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The rows of a table of the document, by cohort and method."""
    lines = [line.strip("|").split("|") for line in table.strip().splitlines()[2:]]
    rows = [tuple(cell.strip() for cell in cells) for cells in lines]
    return {(row[0], row[1]): row for row in rows}


def judge(
    settings: SimulationSettings, methods: Methods, folder: Path
) -> Iterator[tuple[str, Judged]]:
    """Every method on the hospital that it was not trained on.

    The target is the confounder's patches where the cohort has one, and the tumour's otherwise.
    """
    simulate_cohort(folder / "cohort", settings)
    described = EXPERIMENT | {"methods": methods}
    if methods.keys() == {"abmil"}:  # which reads no genes
        del described["genomics"]
    write_text(folder / "experiment.yaml", yaml.safe_dump(described))
    experiment = read_experiment(folder / "experiment.yaml")
    data = load(experiment)
    predictions = cross_validate(experiment, data)
    assert data.bags is not None
    latent = draw_truth(settings).set_index("PATIENT")["SHARED"]
    model = draw_patch_model(settings)
    slides = {slide.patient: slide for slide in slides_of(draw_truth(settings))}
    for method in methods:
        answered = predictions[predictions["method"] == method].set_index("PATIENT")
        auc = roc_auc(answered["label"] == "positive", answered["student"])
        bundle = fold_ensemble(experiment, data, "ER", method)
        maps = explain(bundle, data.bags, patients=list(answered.index))
        found = pd.DataFrame(
            [_found(m, latent[m.patient], model, slides[m.patient]) for m in maps],
            index=answered.index,
        )
        visible = latent[answered.index].abs() >= VISIBLE
        shown = found if settings.confounder is not None else found[visible]
        yield method, Judged(auc, Found(**shown.mean()), Found(**found.mean()))


def _found(found: PatientMap, latent: float, model: PatchModel, slide: SimulatedSlide) -> Found:
    """A map of a patient, whose latent is given, against the truth of their one slide."""
    patches = model.draw_patches(slide)
    # A confounder speaks for ER; tumour speaks for what the patient's latent says.
    if model.settings.confounder is not None:
        wanted, sign, direction = patches.confounded, 1.0, model.confounder_direction
    else:
        sign = float(np.sign(latent))
        wanted, direction = patches.signal, model.shared_direction
    if wanted.all() or not wanted.any():
        return Found(*[np.nan] * 5)
    own = found.contributions
    relative = own.against_average()
    assert found.attention is not None
    assert relative is not None
    maps = (
        found.attention,
        sign * own.support(1),
        sign * relative.support(1),
        sign * (patches.features.astype(float) @ direction),
    )
    attention, share, difference, best = (roc_auc(wanted, values) for values in maps)
    return Found(attention, share, difference, best, sign * _moved(found, wanted))


def _moved(found: PatientMap, taken: NDArray[np.bool_]) -> float:
    """Probability of ER with all patches, less that without some.

    Exact for one model, and for several that weight all patches alike.
    """
    own = found.contributions
    assert found.attention is not None
    left = own.shares[~taken].sum(axis=0) / found.attention[~taken].sum()
    without = own.constant + left
    return float(softmax(own.logits)[1] - softmax(without)[1])


def _figures(judged: Judged) -> tuple[float, ...]:
    """As they are called in ``FIGURES``."""
    seen = judged.visible
    numbers = (judged.auc, seen.attention, seen.share, seen.difference)
    return (*numbers, judged.everybody.difference, seen.best, seen.moves)


if __name__ == "__main__":
    main()
