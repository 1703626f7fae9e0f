"""The `histodistill simulate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import located, say
from histodistill.simulation import SimulationSettings, simulate_cohort


def command(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort.")],
    patients: Annotated[int, typer.Option(min=20, help="Number of patients.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Generate a simulated paired cohort with a known truth, to try things out.

    Nothing in it comes from a patient. Its README.txt says what is true in it.
    """
    simulate_cohort(out, SimulationSettings(n_patients=patients, seed=seed))
    say(f"Simulated cohort: {located(out)}")
