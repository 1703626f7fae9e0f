"""The pictures and files of one slide: overlays, sheets, GeoJSON, OME-TIFF, a table of patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.explanation.contact_sheet import contact_sheet
from histodistill.explanation.contributions import Floats
from histodistill.explanation.expression import ExpressionMap
from histodistill.explanation.expression_pictures import write_expression
from histodistill.explanation.frame import Frame, frame_of
from histodistill.explanation.geojson import write_geojson
from histodistill.explanation.ome_tiff import write_ome_tiff
from histodistill.explanation.overlay import Legend
from histodistill.explanation.palette import density
from histodistill.explanation.patients import PatientMap
from histodistill.explanation.raster import PatchPlaces, places_of, places_on, rasterise
from histodistill.features.slide import SlideFeatures
from histodistill.files import whole_file
from histodistill.slides import Slide, SlideImage
from histodistill.spreadsheets import write_csv


def write_slide(
    folder: Path,
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    classes: Sequence[str],
    image: SlideImage | None,
    expression: ExpressionMap | None = None,
    *,
    mpp: float,
    n_shown: int,
) -> None:
    """Write everything about one slide into a folder.

    Args:
        folder: Where the files go; it exists.
        features: The slide's features.
        maps: Maps of its patient, one a network.
        classes: Names of the classes.
        image: The slide itself; None draws the map on the grid of patches.
        expression: Predicted expression of its patient; None draws none.
        mpp: µm in a pixel of the pictures.
        n_shown: The most and the least supportive patches that a sheet shows.

    Raises:
        InputError: The slide cannot be read, or is not the one that the patches lie on.
    """
    with _opened(image) as slide:
        places = places_of(features, None) if slide is None else places_on(slide, features)
        table = patch_table(features, maps, classes, places, expression)
        write_csv(folder / "patches.csv", table)
        if places is None:
            return
        frame = frame_of(places, slide, features, mpp)
        for found in maps:
            rows = found.rows(features)
            support = density(found.contributions.support(found.target))[rows]
            _write_map(folder, found, features, support, classes, places, frame)
            if slide is not None:
                _write_sheet(folder, found, support, places, slide, n_shown)
    if expression is not None:
        write_expression(folder, features, expression, places, frame)
    _write_layers(folder, features, maps, classes, places, frame, expression)


def patch_table(
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    classes: Sequence[str],
    places: PatchPlaces | None,
    expression: ExpressionMap | None = None,
) -> pd.DataFrame:
    """A row a patch: its place, shares in the logits of each network, attention and expression.

    Shares against the slides' average patch stand beside the others, of networks that have them.
    """
    table: dict[str, object] = {"patch": np.arange(features.n_patches)}
    if places is not None:
        table |= {"x": places.coords[:, 0], "y": places.coords[:, 1], "side": places.side}
    for found in maps:
        rows = found.rows(features)
        for name, shares in _shares(found, classes):
            table[f"{found.network}:{name}"] = shares[rows]
        if found.attention is not None:
            table[f"{found.network}:attention"] = found.attention[rows]
    if expression is not None:
        table |= expression.of_slide(features)
    return pd.DataFrame(table)


def strongest(support: Floats, n_shown: int) -> tuple[list[int], list[int]]:
    """The most and the least supportive patches, strongest first; none stands in both."""
    n_shown = min(n_shown, len(support) // 2)
    order = np.argsort(support, kind="stable")
    return order[::-1][:n_shown].tolist(), order[:n_shown].tolist()


def _write_map(
    folder: Path,
    found: PatientMap,
    features: SlideFeatures,
    support: Floats,
    classes: Sequence[str],
    places: PatchPlaces,
    frame: Frame,
) -> None:
    regional = found.certificate.regional
    shown, _ = strongest(support, 4) if regional else ([], [])
    against = "others" if len(classes) > 2 else classes[1 - found.target]
    legend = Legend(
        f"{features.path.stem}: {found.network}, evidence for {classes[found.target]} "
        f"(called {classes[found.called]})",
        [*sentences(found), "Research use only."],
        against,
        classes[found.target],
        shown,
    )
    picture = frame.draw(places, support if regional else None, legend)
    with whole_file(folder / f"{found.network}.png") as temporary:
        picture.save(temporary)
    rows = found.rows(features)
    measured = {f"{found.network} {name}": shares[rows] for name, shares in _shares(found, classes)}
    write_geojson(folder / f"{found.network}.geojson", places, measured, frame.origin)


def _shares(found: PatientMap, classes: Sequence[str]) -> Iterator[tuple[str, Floats]]:
    """Shares [N] of all patches in the logit of each class, and against the average patch."""
    relative = found.contributions.against_average()
    for index, label in enumerate(classes):
        yield label, found.contributions.shares[:, index]
        if relative is not None:
            yield f"{label} against average", relative.shares[:, index]


def sentences(found: PatientMap) -> Iterator[str]:
    """The certificate of a map in sentences, the verdict first."""
    certificate = found.certificate
    yield certificate.sentence[0].upper() + certificate.sentence[1:] + "."
    if certificate.attention is not None:
        yield f"Attention in its place: SRG {certificate.attention.srg:.3f}."
    changes = (
        "no part of the patches changes the call when it is taken away"
        if certificate.necessary is None
        else f"without the {_most(certificate.necessary)} the call changes"
    )
    keep = "keeps" if certificate.sufficient == 1 else "keep"
    yield (
        f"Of {certificate.n_patches} patches the {_most(certificate.sufficient)} alone {keep} the "
        f"call; {changes}. Shares: {found.contributions.way}."
    )


def _most(n_patches: int) -> str:
    return "most supportive" if n_patches == 1 else f"{n_patches} most supportive"


def _write_sheet(
    folder: Path,
    found: PatientMap,
    support: Floats,
    places: PatchPlaces,
    slide: Slide,
    n_shown: int,
) -> None:
    most, least = strongest(support, n_shown)
    if not most:
        return
    rows = [
        (title, patches, [f"{support[patch]:+.2f}" for patch in patches])
        for title, patches in (("Most supportive", most), ("Least supportive", least))
    ]
    sheet = contact_sheet(slide, places, rows)
    with whole_file(folder / f"{found.network}-patches.png") as temporary:
        sheet.save(temporary)


def _write_layers(
    folder: Path,
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    classes: Sequence[str],
    places: PatchPlaces,
    frame: Frame,
    expression: ExpressionMap | None,
) -> None:
    """All maps as numbers, and where student and teacher see different things."""
    layers: dict[str, Floats] = {}
    for found in maps:
        support = density(found.contributions.support(found.target))[found.rows(features)]
        layers[f"{found.network} {classes[found.target]}"] = support
    if len(layers) == 2 and len({found.target for found in maps}) == 1:
        student, teacher = layers.values()
        layers["student minus multimodal"] = student - teacher
        target = classes[maps[0].target]
        legend = Legend(
            f"{features.path.stem}: student minus multimodal teacher, evidence for {target}",
            ["Red: the student sees more evidence here than the teacher who knows the genes."],
            "teacher",
            "student",
        )
        both = all(found.certificate.regional for found in maps)
        picture = frame.draw(places, student - teacher if both else None, legend)
        with whole_file(folder / "student-minus-multimodal.png") as temporary:
            picture.save(temporary)
    if expression is not None:
        layers |= expression.of_slide(features)
    if frame.mpp is not None:
        painted = {
            name: rasterise(places, values, frame.size, frame.downsample)
            for name, values in layers.items()
        }
        write_ome_tiff(folder / "maps.ome.tiff", painted, frame.mpp)


@contextmanager
def _opened(image: SlideImage | None) -> Iterator[Slide | None]:
    if image is None:
        yield None
        return
    with image.open() as slide:
        yield slide
