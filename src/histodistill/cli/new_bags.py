"""Bags of new slides, extracted with their progress on the screen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histodistill.cli.console import located, say, say_notes

if TYPE_CHECKING:
    from histodistill.deploy import Bundle
    from histodistill.features import BagStore
    from histodistill.workflows.new_features import KnownFeatures
    from histodistill.workflows.new_slide_settings import NewSlideSettings


def extracted_bags(bundle: Bundle, slides: Path, how: NewSlideSettings) -> BagStore:
    """Bags of slides, extracted as the bundle's training slides were."""
    from histodistill.features import open_bags

    return open_bags(_extracted(bundle, slides, how))


def _extracted(bundle: Bundle, slides: Path, how: NewSlideSettings) -> dict[str, tuple[Path, ...]]:
    """Feature files by patient."""
    from histodistill.cli.progress import ExtractionProgress
    from histodistill.workflows.new_slides import plan_slides

    plan = plan_slides(bundle.info, slides, how)
    say_notes(plan.notes)
    with ExtractionProgress(len(plan.entries)) as progress:
        extracted = plan.extract(progress)
    say_notes(extracted.notes)
    return extracted.files


def extract_apart(
    place: Path, target: str | None, slides: Path, how: NewSlideSettings, allow: Sequence[str]
) -> KnownFeatures:
    """Features of slides in the user's cache, extracted as a bundle's training slides were.

    The work is done in a process that ends with it: whoever goes on needs no PyTorch.

    Args:
        place: The bundle.
        target: Which target of several.
        slides: A folder of slides.
        how: How they are extracted; the folder is chosen here.
        allow: Networks of other packages that may be run.

    Raises:
        InputError: As for ``histodistill predict``.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from histodistill.workflows.new_features import KnownFeatures

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        files = pool.submit(_extract, place, target, slides, how, allow).result()
    return KnownFeatures(files)


def _extract(
    place: Path, target: str | None, slides: Path, how: NewSlideSettings, allow: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    from histodistill.deploy import Bundle
    from histodistill.deploy.panel import bundle_of
    from histodistill.files import user_cache

    bundle = Bundle.load(bundle_of(place, target), allow)
    name = f"{bundle.fingerprint} {slides.resolve()}"
    folder = user_cache() / "view" / hashlib.sha256(name.encode()).hexdigest()[:16]
    files = _extracted(bundle, slides, replace(how, folder=folder))
    say(f"Features of {located(slides)} are kept in {folder}.")
    return files
