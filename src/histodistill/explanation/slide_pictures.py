"""The pictures and files of one slide: overlays, sheets, GeoJSON, OME-TIFF, a table of patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from histodistill.explanation.palette import DIFFERENCE, density
from histodistill.explanation.patients import PatientMap
from histodistill.explanation.raster import PatchPlaces, places_of, places_on, rasterise
from histodistill.features.slide import SlideFeatures
from histodistill.files import whole_file
from histodistill.model import NetworkName
from histodistill.slides import Slide, SlideImage
from histodistill.spreadsheets import write_csv

_RESEARCH = "Research use only."
_COLOURS = "Figures and colours: the log odds if all tissue spoke like the patch."


def named_class(target: str, name: str) -> str:
    """A class with what it is a class of: ``ER positive``."""
    return name if name.lower().startswith(target.lower()) else f"{target} {name}"


@dataclass(frozen=True)
class Answer:
    """What was asked of a patient, and what was answered.

    Attributes:
        target: What was asked.
        classes: Names of the classes.
        probabilities: Of each network the probability of the class that its map is about, as
            ``predict`` gives it; networks without are not told.
        thresholds: Of each network the probability from which on that class is called; those
            that call the most probable class have none.
        warning: Why the answer counts for little, in a sentence; empty where it is not known to.
    """

    target: str
    classes: Sequence[str]
    probabilities: Mapping[NetworkName, float]
    thresholds: Mapping[NetworkName, float] = field(default_factory=dict)
    warning: str = ""

    def of(self, index: int) -> str:
        """A class with what it is a class of: ``ER positive``."""
        return named_class(self.target, self.classes[index])

    @property
    def warnings(self) -> list[str]:
        """The warning, where there is one."""
        return [self.warning] if self.warning else []

    def against(self, index: int) -> str:
        """What speaks against a class."""
        return "others" if len(self.classes) > 2 else self.of(1 - index)

    def sentence(self, found: PatientMap) -> str:
        """The probability and the call of a network."""
        called = f"called {self.of(found.called)}"
        probability = self.probabilities.get(found.network)
        if probability is None:
            return f"{called[0].upper()}{called[1:]}."
        target, threshold = self.of(found.target), self.thresholds.get(found.network)
        since = "" if threshold is None else f" ({target} from {threshold:.3f} on)"
        return f"Probability of {target} {probability:.3f}, {called}{since}."


def write_slide(
    folder: Path,
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    answer: Answer,
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
        answer: What was asked and answered.
        image: The slide itself; None draws the map on the grid of patches.
        expression: Predicted expression of its patient; None draws none.
        mpp: µm in a pixel of the pictures.
        n_shown: The most and the least supportive patches that a sheet shows.

    Raises:
        InputError: The slide cannot be read, or is not the one that the patches lie on.
    """
    with _opened(image) as slide:
        places = places_of(features, None) if slide is None else places_on(slide, features)
        table = patch_table(features, maps, answer.classes, places, expression)
        write_csv(folder / "patches.csv", table)
        if places is None:
            return
        frame = frame_of(places, slide, features, mpp)
        for found in maps:
            rows = found.rows(features)
            support = density(found.contributions.support(found.target))[rows]
            _write_map(folder, found, features, support, answer, places, frame)
            if slide is not None:
                head = " ".join((f"{_title(features, found, answer)}.", *answer.warnings))
                _write_sheet(folder, found, support, head, places, slide, n_shown)
    if expression is not None:
        write_expression(folder, features, expression, places, frame)
    _write_layers(folder, features, maps, answer, places, frame, expression)


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
    answer: Answer,
    places: PatchPlaces,
    frame: Frame,
) -> None:
    regional = found.certificate.regional
    shown, _ = strongest(support, 4) if regional else ([], [])
    told = [answer.sentence(found), *answer.warnings, *sentences(found, answer.classes)]
    legend = Legend(
        _title(features, found, answer),
        [*told, *([_COLOURS] if regional else []), _RESEARCH],
        answer.against(found.target),
        answer.of(found.target),
        shown,
    )
    picture = frame.draw(places, support if regional else None, legend)
    with whole_file(folder / f"{found.network}.png") as temporary:
        picture.save(temporary)
    rows = found.rows(features)
    measured = {
        f"{found.network} {name}": shares[rows] for name, shares in _shares(found, answer.classes)
    }
    write_geojson(folder / f"{found.network}.geojson", places, measured, frame.origin)


def _title(features: SlideFeatures, found: PatientMap, answer: Answer) -> str:
    network = "multimodal teacher" if found.network == "multimodal" else found.network
    return f"{features.path.stem}: {network}, evidence for {answer.of(found.target)}"


def _shares(found: PatientMap, classes: Sequence[str]) -> Iterator[tuple[str, Floats]]:
    """Shares [N] of all patches in the logit of each class, and against the average patch."""
    relative = found.contributions.against_average()
    for index, label in enumerate(classes):
        yield label, found.contributions.shares[:, index]
        if relative is not None:
            yield f"{label} against average", relative.shares[:, index]


def sentences(found: PatientMap, classes: Sequence[str]) -> Iterator[str]:
    """The certificate of a map in sentences, the verdict first."""
    certificate = found.certificate
    yield _verdict(found)
    if certificate.attention is not None:
        yield f"Attention in its place: SRG {certificate.attention.srg:.3f}."
    alone = "one" if certificate.sufficient == 1 else f"{certificate.sufficient}"
    kept = "keeps" if certificate.sufficient == 1 else "keep"
    without = "one" if certificate.necessary == 1 else f"{certificate.necessary}"
    changes = (
        "taking patches away never changes it"
        if certificate.necessary is None
        else f"without the {without} most in favour it changes"
    )
    yield (
        f"Of the patient's {certificate.n_patches} patches the {alone} most in favour of "
        f"{classes[found.called]} alone {kept} the call; {changes}. "
        f"Shares: {found.contributions.way}."
    )


def _verdict(found: PatientMap) -> str:
    sentence = found.certificate.sentence
    return f"{sentence[0].upper()}{sentence[1:]}."


def _write_sheet(
    folder: Path,
    found: PatientMap,
    support: Floats,
    head: str,
    places: PatchPlaces,
    slide: Slide,
    n_shown: int,
) -> None:
    most, least = strongest(support, n_shown)
    if not most:
        return
    rows = [
        (row, patches, [f"{support[patch]:+.2f}" for patch in patches])
        for row, patches in (("Most supportive", most), ("Least supportive", least))
    ]
    told = f"{head} {_verdict(found)} {_COLOURS} {_RESEARCH}"
    sheet = contact_sheet(slide, places, [told], rows)
    with whole_file(folder / f"{found.network}-patches.png") as temporary:
        sheet.save(temporary)


def _write_layers(
    folder: Path,
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    answer: Answer,
    places: PatchPlaces,
    frame: Frame,
    expression: ExpressionMap | None,
) -> None:
    """All maps as numbers, and where student and teacher see different things."""
    layers: dict[str, Floats] = {}
    for found in maps:
        support = density(found.contributions.support(found.target))[found.rows(features)]
        layers[f"{found.network} {answer.classes[found.target]}"] = support
    if len(layers) == 2 and len({found.target for found in maps}) == 1:
        student, teacher = layers.values()
        layers["student minus multimodal"] = student - teacher
        _write_difference(folder, features, maps, student - teacher, answer, places, frame)
    if expression is not None:
        layers |= expression.of_slide(features)
    if frame.mpp is not None:
        painted = {
            name: rasterise(places, values, frame.size, frame.downsample)
            for name, values in layers.items()
        }
        write_ome_tiff(folder / "maps.ome.tiff", painted, frame.mpp)


def _write_difference(
    folder: Path,
    features: SlideFeatures,
    maps: Sequence[PatientMap],
    difference: Floats,
    answer: Answer,
    places: PatchPlaces,
    frame: Frame,
) -> None:
    """Where the student and the teacher who knows the genes see different things."""
    flat = [found.network for found in maps if not found.certificate.regional]
    target = answer.of(maps[0].target)
    told = (
        f"Not painted: no regional evidence of {' and '.join(flat)}."
        if flat
        else f"Pink: the student sees more evidence for {target} here than the teacher who knows "
        "the genes; green: less."
    )
    answers = [f"{found.network.capitalize()}: {answer.sentence(found)}" for found in maps]
    legend = Legend(
        f"{features.path.stem}: student minus multimodal teacher, evidence for {target}",
        [*answers, *answer.warnings, told, _RESEARCH],
        "teacher sees more",
        "student sees more",
        scale=DIFFERENCE,
    )
    picture = frame.draw(places, None if flat else difference, legend)
    with whole_file(folder / "student-minus-multimodal.png") as temporary:
        picture.save(temporary)


@contextmanager
def _opened(image: SlideImage | None) -> Iterator[Slide | None]:
    if image is None:
        yield None
        return
    with image.open() as slide:
        yield slide
