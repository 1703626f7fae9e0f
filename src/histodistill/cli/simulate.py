"""The `histodistill simulate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import located, say
from histodistill.cli.options import require_used


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="Folder for the cohort.")],
    patients: Annotated[int, typer.Option(min=20, help="Number of patients.")] = 160,
    seed: Annotated[int, typer.Option(min=0, help="Seed.")] = 0,
    slides: Annotated[
        bool, typer.Option("--slides", help="Draw H&E slides (TIFF) instead of patch features.")
    ] = False,
    slide_px: Annotated[
        int, typer.Option(min=512, help="With --slides: width and height, at 0.5 µm/px.")
    ] = 1500,
) -> None:
    """Generate a simulated paired cohort with a known truth, to try things out.

    Nothing in it comes from a patient. Its README.txt says what is true in it.
    """
    import joblib

    from histodistill.simulation import SimulationSettings, simulate_cohort, simulate_slides

    require_used(context, {"slide_px": ["slides"]})
    settings = SimulationSettings(n_patients=patients, seed=seed)
    if slides:
        simulate_slides(
            out, settings, width_px=slide_px, height_px=slide_px, jobs=joblib.cpu_count()
        )
    else:
        simulate_cohort(out, settings)
    say(f"Simulated cohort: {located(out)}")
