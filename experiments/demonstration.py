"""The demonstration with other seeds and in other settings; writes a table of its tutorial.

    python experiments/demonstration.py [folder]

Repeats the first part of examples/demo.sh, whose setting was fixed with seed 0, and says for
each cohort what slides could tell at best, what each slide-only answer reached, and what the
paired test says. Cross-validations that an earlier call finished in the folder are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill import compare, contenders_in, cross_validate, load, read_experiment
from histodistill.files import write_text
from histodistill.report import Cell, Section, Table, to_markdown
from histodistill.report.tables import p_value
from histodistill.simulation import (
    SimulationSettings,
    best_aucs,
    draw_truth,
    read_settings,
    simulate_cohort,
)

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/tutorials/simulated.md"
START, END = "<!-- written by experiments/demonstration.py -->", "<!-- end of the table -->"
SEEDS = range(6)
# What else the gain hangs on, each with seed 0.
VARIANTS: dict[str, dict[str, Any]] = {
    "all labels known": {"share_without_label": 0.0},
    "nothing of ER in slides": {"shared_signal": 0.0},
}
TAUGHT, ALONE, SIMPLE = "programmes student", "abmil student", "logistic-slides student"
HEADER = ("cohort", "labels", "best", "logistic", "abmil", "programmes", "gain [95 %]", "p")


def main() -> None:
    """Simulate, cross-validate, and write each line of the table into the tutorial when known."""
    work = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "demo/other-seeds").resolve()
    rows: list[tuple[Cell, ...]] = []
    for name, settings in cohorts():
        rows.append(row(name, settings, work / name))
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
        shown = to_markdown(Table(HEADER, (Section("", tuple(rows)),)))
        write_text(DOCUMENT, f"{before}{START}\n\n{shown}\n{END}{rest.partition(END)[2]}")


def cohorts() -> Iterator[tuple[str, SimulationSettings]]:
    """Every cohort by its name, the demonstration's own first."""
    own = read_settings(ROOT / "examples/simulation/few-labels.yaml", {})
    for seed in SEEDS:
        yield f"seed {seed}", replace(own, seed=seed)
    for name, changes in VARIANTS.items():
        yield name, replace(own, **changes)


def row(name: str, settings: SimulationSettings, folder: Path) -> tuple[Cell, ...]:
    """A line of the table."""
    best = best_aucs(settings, draw_truth(settings))
    students = (c for c in contenders_in(predictions(settings, folder)) if c.network == "student")
    found = compare(list(students), ALONE).set_index("contender")
    gain: dict[Any, Any] = found.loc[[TAUGHT]].to_dict("records")[0]
    interval = f"{gain['difference']:+.3f} [{gain['low']:+.3f} to {gain['high']:+.3f}]"
    aucs = (best.slides, float(found["auc"][SIMPLE]), gain["auc_reference"], gain["auc"])
    numbers = (f"{auc:.3f}" for auc in aucs)
    texts = (name, str(best.patients), *numbers, interval, p_value(gain["p_delong"]))
    print(*texts, sep=" | ", flush=True)
    return tuple(Cell(text) for text in texts)


def predictions(settings: SimulationSettings, folder: Path) -> pd.DataFrame:
    """Out-of-fold predictions of the demonstration's experiment on a cohort."""
    cohort = folder / "demo/cohort"
    if not (cohort / "README.txt").exists():  # which is written last
        simulate_cohort(cohort, settings)
    file = folder / "examples/simulated.yaml"
    write_text(file, (ROOT / "examples/simulated.yaml").read_text(encoding="utf-8"))
    experiment = read_experiment(file)
    return cross_validate(experiment, load(experiment))


if __name__ == "__main__":
    main()
