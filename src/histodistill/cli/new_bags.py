"""Bags of new slides, extracted with their progress on the screen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histodistill.cli.console import located, say, say_notes

if TYPE_CHECKING:
    from histodistill.deploy import Bundle
    from histodistill.features import BagStore
    from histodistill.workflows.new_slides import NewSlideSettings


def extracted_bags(bundle: Bundle, slides: Path, how: NewSlideSettings) -> BagStore:
    """Bags of slides, extracted as the bundle's training slides were."""
    from histodistill.cli.progress import ExtractionProgress
    from histodistill.features import open_bags
    from histodistill.workflows.new_slides import plan_slides

    plan = plan_slides(bundle.info, slides, how)
    say_notes(plan.notes)
    with ExtractionProgress(len(plan.entries)) as progress:
        extracted = plan.extract(progress)
    say_notes(extracted.notes)
    return open_bags(extracted.files)


def extract_apart(
    place: Path,
    target: str | None,
    slides: Path,
    slide_mpp: float | None,
    pattern: str | None,
    allow: Sequence[str],
) -> Path:
    """Features of slides in the user's cache, extracted as a bundle's training slides were.

    The work is done in a process that ends with it: whoever goes on needs no PyTorch.

    Args:
        place: The bundle.
        target: Which target of several.
        slides: A folder of slides.
        slide_mpp: µm/px of slides that record none.
        pattern: Regular expression of the patient in a slide's name.
        allow: Networks of other packages that may be run.

    Raises:
        InputError: As for ``histodistill predict``.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_extract, place, target, slides, slide_mpp, pattern, allow).result()


def _extract(
    place: Path,
    target: str | None,
    slides: Path,
    slide_mpp: float | None,
    pattern: str | None,
    allow: Sequence[str],
) -> Path:
    from histodistill.deploy import Bundle
    from histodistill.deploy.panel import bundle_of
    from histodistill.files import user_cache
    from histodistill.workflows.new_slides import NewSlideSettings

    bundle = Bundle.load(bundle_of(place, target), allow)
    name = f"{bundle.fingerprint} {slides.resolve()}"
    folder = user_cache() / "view" / hashlib.sha256(name.encode()).hexdigest()[:16]
    how = NewSlideSettings(folder, slide_mpp=slide_mpp, patient_pattern=pattern)
    extracted_bags(bundle, slides, how)
    say(f"Features of {located(slides)} are kept in {folder}.")
    return folder
