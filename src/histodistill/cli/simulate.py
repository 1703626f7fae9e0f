"""The `histodistill simulate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histodistill.cli.console import located, say
from histodistill.cli.options import require_used
from histodistill.cli.simulate_options import (
    Components,
    Device,
    Encoder,
    Mosaics,
    Patches,
    Regime,
    Tiles,
    Weights,
)
from histodistill.errors import InputError

_OF_TILES = ("regime", "patches", "encoder", "weights", "components", "mosaics", "device")


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="Folder for the cohort.")],
    patients: Annotated[
        int | None,
        typer.Option(min=20, help="Number of patients; by default 160, with --tiles 300."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; by default 0.")] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML of any settings of the simulation; options go before it.",
        ),
    ] = None,
    slides: Annotated[
        bool, typer.Option("--slides", help="Draw H&E slides (TIFF) instead of patch features.")
    ] = False,
    slide_px: Annotated[
        int, typer.Option(min=512, help="With --slides: width and height, at 0.5 µm/px.")
    ] = 1500,
    tiles: Tiles = None,
    regime: Regime = None,
    patches: Patches = None,
    encoder: Encoder = None,
    weights: Weights = None,
    components: Components = None,
    mosaics: Mosaics = 0,
    device: Device = "auto",
) -> None:
    """Generate a simulated paired cohort with a known truth, to try things out.

    Nothing in it comes from a patient, or, with --tiles, nothing but the tiles. Its README.txt
    says what is true in it, and which AUC is the best that can be reached.
    """
    require_used(context, {"slide_px": ["slides"], **{name: ["tiles"] for name in _OF_TILES}})
    given = {"n_patients": patients, "seed": seed}
    if tiles is None:
        _draw(out, settings, given, slide_px if slides else None)
        return
    if slides:
        raise InputError("--slides draws slides; with --tiles, give --mosaics N.")
    from histodistill.cli.progress import counting
    from histodistill.simulation.tiles import REGIMES, TileSettings
    from histodistill.workflows.extraction import EncoderChoice
    from histodistill.workflows.tile_cohort import TileCohortRequest, simulate_from_tiles

    own = {**given, "n_patches": patches, **(REGIMES[regime] if regime else {})}
    request = TileCohortRequest(
        tiles=tiles,
        folder=out,
        settings=_settings(settings, own, TileSettings),
        encoder=EncoderChoice(encoder or _offline(), weights),
        components=components,
        mosaics=mosaics,
        device=device,
    )
    with counting("Encoding tiles") as progress:
        cohort = simulate_from_tiles(request, progress)
    say(f"Simulated cohort: {located(out)}")
    say(f"Experiment: {located(cohort.experiment)}")
    say(cohort.best)


def _draw(
    out: Path, settings: Path | None, given: dict[str, int | None], slide_px: int | None
) -> None:
    """A cohort of drawn features, or of drawn slides of some size."""
    import joblib

    from histodistill.simulation import (
        SimulationSettings,
        best_aucs,
        draw_truth,
        simulate_cohort,
        simulate_slides,
    )

    chosen = _settings(settings, given, SimulationSettings)
    if slide_px is None:
        simulate_cohort(out, chosen)
    else:
        jobs = joblib.cpu_count()
        simulate_slides(out, chosen, width_px=slide_px, height_px=slide_px, jobs=jobs)
    say(f"Simulated cohort: {located(out)}")
    say(str(best_aucs(chosen, draw_truth(chosen))))


def _settings(file: Path | None, given: dict[str, Any], kind: Any) -> Any:
    from histodistill.simulation import read_settings

    return read_settings(file, {k: v for k, v in given.items() if v is not None}, kind)


def _offline() -> str:
    from histodistill.encoders import OFFLINE_ENCODER

    return OFFLINE_ENCODER
