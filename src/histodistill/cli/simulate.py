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
    patients: Annotated[
        int | None, typer.Option(min=20, help="Number of patients; by default 160.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; by default 0.")] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML of any settings of the simulation; --patients and --seed go before it.",
        ),
    ] = None,
    slides: Annotated[
        bool, typer.Option("--slides", help="Draw H&E slides (TIFF) instead of patch features.")
    ] = False,
    slide_px: Annotated[
        int, typer.Option(min=512, help="With --slides: width and height, at 0.5 µm/px.")
    ] = 1500,
) -> None:
    """Generate a simulated paired cohort with a known truth, to try things out.

    Nothing in it comes from a patient. Its README.txt says what is true in it, and which AUC is
    the best that can be reached.
    """
    import joblib

    from histodistill.simulation import (
        best_aucs,
        draw_truth,
        read_settings,
        simulate_cohort,
        simulate_slides,
    )

    require_used(context, {"slide_px": ["slides"]})
    given = {"n_patients": patients, "seed": seed}
    chosen = read_settings(settings, {k: v for k, v in given.items() if v is not None})
    if slides:
        simulate_slides(out, chosen, width_px=slide_px, height_px=slide_px, jobs=joblib.cpu_count())
    else:
        simulate_cohort(out, chosen)
    say(f"Simulated cohort: {located(out)}")
    say(str(best_aucs(chosen, draw_truth(chosen))))
