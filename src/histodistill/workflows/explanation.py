"""Maps of new patients: explained, certified and drawn, a folder a patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from histodistill.claims import Claims
from histodistill.deploy import Bundle, predict
from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import LostTaskError
from histodistill.engines.sharing import all_claimed, run_shared
from histodistill.errors import InputError, Problems, listed
from histodistill.explanation.expression import ExpressionMap, explain_expression
from histodistill.explanation.patients import PatientMap, explain
from histodistill.explanation.predictability import predictability, require_shown
from histodistill.explanation.raster import places_on
from histodistill.explanation.slide_pictures import Answer, write_slide
from histodistill.features import BagStore
from histodistill.features.slide import SlideFeatures
from histodistill.files import folder_name, require_writable, whole_folder, write_json
from histodistill.slides import SlideImage
from histodistill.spreadsheets import read_own_csv, write_csv
from histodistill.workflows.answering import Answering

_RECORD, _MAPS = "explained.json", "maps.csv"
# Of a patient, where nothing is known.
_SECONDS = 10.0
_EXPRESSION, _PREDICTABILITY = "expression.csv", "predictability.csv"


@dataclass(frozen=True)
class ExplanationSettings:
    """How maps are drawn.

    Attributes:
        folder: Where they go, a folder a patient, and ``maps.csv`` with all certificates.
        images: Slides by the name of their feature files, for those that are at hand.
        mpp: µm in a pixel of the pictures.
        genes: Genes whose predicted expression is drawn, ``block:gene`` or the gene alone.
        n_shown: Most and least supportive patches on a contact sheet.
        jobs: Patients at the same time, each in a process; by default 1, and as many as there is
            room for elsewhere.
        threads: Threads of each; by default the cores are divided among the jobs, and 1 elsewhere.
        place: Where patients are explained.
        answers: How the bundle is asked.
        seed: Of the random orders that certificates compare with.
    """

    folder: Path
    images: Mapping[str, SlideImage] = field(default_factory=dict)
    mpp: float = 8.0
    genes: tuple[str, ...] = ()
    n_shown: int = 8
    jobs: int | None = None
    threads: int | None = None
    place: Place = field(default_factory=Place)
    answers: Answering = field(default_factory=Answering)
    seed: int = 0


@dataclass(frozen=True)
class Explained:
    """What came out.

    Attributes:
        maps: A row a patient and network: probability and call as ``predict`` gives them, SRG with
            its interval, that of attention and of random orders, how few patches keep and break
            the call, and the verdict.
        notes: Sentences: what the reader must know.
        resumed: Patients whose maps an earlier run had finished.
        expression: A row a patient and programme or gene that was drawn: what is predicted of the
            patient, and how well slides predict it; empty where nothing was drawn.
    """

    maps: pd.DataFrame
    notes: tuple[str, ...]
    resumed: int
    expression: pd.DataFrame


def explain_patients(
    bundle: Bundle,
    bags: BagStore,
    genomics: Mapping[str, pd.DataFrame] | None,
    how: ExplanationSettings,
    *,
    patients: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Explained:
    """Explain patients with slides and draw their maps; finished patients are not made again.

    Args:
        bundle: A trained model.
        bags: Bags of the patients.
        genomics: Blocks by the names that the bundle knows, patients x genes.
        how: Where and how.
        patients: Who is explained; empty for everybody with slides.
        progress: Called with (patients done, patients in all).

    Raises:
        InputError: As :func:`histodistill.predict`; an unknown patient; maps of another model, or
            of other inputs, in the folder; a gene that slides do not tell; a slide that cannot be
            opened, or on which the patches do not lie.
    """
    require_shown(bundle, how.genes)
    wanted = list(dict.fromkeys(patients)) or bags.patients
    unknown = sorted(set(wanted) - set(bags.patients))
    if unknown:
        raise InputError(f"nobody of this name has slides: {listed(unknown)}")
    asked = how.answers.options(bundle.networks)
    predicted = predict(bundle, bags=bags, genomics=genomics, patients=set(wanted), **asked)
    told = predictability(bundle)
    notes = [*predicted.notes, *_image_notes(how, bags, wanted), *_programme_notes(told)]
    if not patients:
        notes.extend(_unused_images(how, bags))
    notes.extend(_place_notes(bags, wanted))
    require_writable(how.folder)
    places = {patient: how.folder / folder_name(patient) for patient in wanted}
    blocks = {name: table.loc[table.index.isin(wanted)] for name, table in (genomics or {}).items()}
    record = {p: _record(bundle, bags, blocks, p, how) for p in wanted}
    _refuse_others(places, record)
    open_ones = [p for p in wanted if not places[p].exists()]
    _refuse_misplaced(how, bags, open_ones)
    answers = predicted.table.set_index("PATIENT")
    done = len(wanted) - len(open_ones)
    work = _Explaining(bundle, bags, blocks, how, record, answers)
    for finished, _ in enumerate(_explained(work, open_ones), start=done + 1):
        if progress is not None:
            progress(finished, len(wanted))
    maps = _collected(how.folder, _MAPS, places.values())
    expression = pd.DataFrame()
    if len(told):
        write_csv(how.folder / _PREDICTABILITY, told)
        expression = _collected(how.folder, _EXPRESSION, places.values())
    return Explained(maps, tuple(notes), done, expression)


def _collected(folder: Path, name: str, places: Iterable[Path]) -> pd.DataFrame:
    """The tables of all patients who have one, together, written beside their folders."""
    files = [place / name for place in places if (place / name).exists()]
    if not files:
        return pd.DataFrame()
    table = pd.concat(map(read_own_csv, files), ignore_index=True)
    write_csv(folder / name, table)
    return table


@dataclass(frozen=True)
class _Explaining:
    """Explains patients, in any process: the bags that it takes along are the paths of files."""

    bundle: Bundle
    bags: BagStore
    genomics: Mapping[str, pd.DataFrame]
    how: ExplanationSettings
    record: Mapping[str, dict[str, object]]
    answers: pd.DataFrame

    def __call__(self, patients: Sequence[str]) -> list[bool | None]:
        """Explain those that nobody else does; None for the others."""
        with self.claims() as claims:
            return [self._explain(patient, claims) for patient in patients]

    def claims(self) -> Claims:
        """Of patients, in the folder of maps."""
        return Claims(self.how.folder / ".claims")

    def _explain(self, patient: str, claims: Claims) -> bool | None:
        with all_claimed([folder_name(patient)], claims) as mine:
            if not mine:
                return None
            place = self.how.folder / folder_name(patient)
            if not place.exists():
                answer, record = self.answers.loc[patient], self.record[patient]
                assert isinstance(answer, pd.Series)  # patients are unique
                _explain_one(
                    self.bundle, self.bags, self.genomics, self.how, patient, place, record, answer
                )
            return True


def _explained(work: _Explaining, patients: Sequence[str]) -> Iterator[str]:
    """Explain patients, by one of the commands that share the folder; each as it is over.

    Raises:
        InputError: The worker that explained some of them ended each time.
    """
    if not patients:
        return
    how, lost = work.how, []
    with (
        opened(how.place, how.folder / ".tasks", jobs=how.jobs, threads=how.threads) as engine,
        work.claims() as claims,
    ):
        named = run_shared(
            engine, work, patients, lambda _: _SECONDS, claims, lambda p: [folder_name(p)]
        )
        for patient, answer in named:
            if isinstance(answer, LostTaskError):
                lost.append(f"{patient}: the worker ended each time that it was tried: {answer}")
            yield patient
    if lost:
        raise InputError(*lost)


def _explain_one(
    bundle: Bundle,
    bags: BagStore,
    genomics: Mapping[str, pd.DataFrame],
    how: ExplanationSettings,
    patient: str,
    place: Path,
    record: Mapping[str, object],
    answer: pd.Series,
) -> None:
    bounds = how.answers.thresholds(bundle)
    maps = list(
        explain(
            bundle,
            bags,
            genomics,
            patients=[patient],
            max_missing_genes=how.answers.max_missing_genes,
            thresholds=bounds,
            seed=how.seed,
        )
    )
    expression = next(explain_expression(bundle, bags, how.genes, patients=[patient]), None)
    classes = bundle.info.classes
    probabilities = {found.network: _probability(found, classes, answer) for found in maps}
    thresholds = {name: bound for name, bound in bounds.items() if bound is not None}
    told = Answer(bundle.info.target, classes, probabilities, thresholds, _warning(answer))
    with whole_folder(place) as draft:
        for slide in bags.slides(patient):
            folder = draft / slide.path.stem
            folder.mkdir()
            image = how.images.get(slide.path.stem)
            write_slide(
                folder, slide, maps, told, image, expression, mpp=how.mpp, n_shown=how.n_shown
            )
        rows = [_row(found, classes, answer) for found in maps]
        write_csv(draft / _MAPS, pd.DataFrame(rows))
        if expression is not None:
            write_csv(draft / _EXPRESSION, _expression_table(expression))
        write_json(draft / _RECORD, dict(record))


def _probability(found: PatientMap, classes: Sequence[str], answer: pd.Series) -> float:
    """The probability, as ``predict`` gives it, of the class that a map is about."""
    two = len(classes) == 2
    return float(answer[found.network if two else f"{found.network}:{classes[found.target]}"])


def _row(found: PatientMap, classes: Sequence[str], answer: pd.Series) -> dict[str, object]:
    certificate = found.certificate
    attention = certificate.attention
    return {
        "PATIENT": found.patient,
        "network": found.network,
        "class": classes[found.target],
        "probability": _probability(found, classes, answer),
        "called": classes[found.called],
        "patches": certificate.n_patches,
        "shares": found.contributions.way,
        "regional": certificate.regional,
        "srg": certificate.map.srg,
        "srg_low": certificate.map.low,
        "srg_high": certificate.map.high,
        "srg_attention": None if attention is None else attention.srg,
        "srg_random": certificate.random,
        "sufficient_patches": certificate.sufficient,
        "necessary_patches": certificate.necessary,
        "verdict": certificate.sentence,
        "scope": answer["scope"],
    }


def _warning(answer: pd.Series) -> str:
    """That a patient's slides are none that the model can be trusted with, where they are."""
    why = str(answer["scope_why"])
    return f"Out of scope: {why}." if why else ""


def _expression_table(found: ExpressionMap) -> pd.DataFrame:
    """What is predicted of a patient."""
    return pd.DataFrame(
        {
            "PATIENT": found.patient,
            "name": [layer.name for layer in found.layers],
            "predicted": found.predicted,
            "r": [layer.r for layer in found.layers],
            "genes": [" ".join(layer.genes) for layer in found.layers],
        }
    )


def _record(
    bundle: Bundle,
    bags: BagStore,
    genomics: Mapping[str, pd.DataFrame],
    patient: str,
    how: ExplanationSettings,
) -> dict[str, object]:
    """What the maps of a patient were made of."""
    slides = bags.slides(patient)
    measured = {n: table.loc[[patient]] for n, table in genomics.items() if patient in table.index}
    return {
        "bundle": bundle.fingerprint,
        "slides": {s.path.stem: [s.n_patches, s.path.stat().st_size] for s in slides},
        "drawn_on_slides": {
            s.path.stem: [image.mpp, image.mpp_if_unrecorded]
            for s in slides
            if (image := how.images.get(s.path.stem)) is not None
        },
        "mpp": how.mpp,
        "seed": how.seed,
        "genes": list(how.genes),
        "patches_shown": how.n_shown,
        "genomics": {name: _digest(values) for name, values in measured.items()},
        "max_missing_genes": how.answers.max_missing_genes,
        "thresholds": how.answers.thresholds(bundle),
        "site": how.answers.site,
    }


def _digest(values: pd.DataFrame) -> str:
    """A short word that tells a patient's genes from others."""
    return hashlib.sha256(pd.util.hash_pandas_object(values).to_numpy().tobytes()).hexdigest()[:12]


def _refuse_others(places: Mapping[str, Path], record: Mapping[str, dict[str, object]]) -> None:
    others = [
        str(place)
        for patient, place in places.items()
        if place.exists() and _recorded(place) != record[patient]
    ]
    if others:
        raise InputError(
            f"maps of another model, of other slides or genes, or with other settings are there "
            f"already: "
            f"{listed(others)}; choose another folder, or remove them"
        )


def _refuse_misplaced(how: ExplanationSettings, bags: BagStore, patients: Sequence[str]) -> None:
    """Refuse slides that cannot be opened, or on which the patches do not lie, before any work."""
    problems = Problems()

    def check(image: SlideImage, features: SlideFeatures) -> None:
        with image.open() as slide:
            places_on(slide, features)

    for features in (slide for patient in patients for slide in bags.slides(patient)):
        image = how.images.get(features.path.stem)
        if image is not None:
            problems.attempt(partial(check, image, features))
    problems.raise_any()


def _recorded(place: Path) -> object:
    try:
        return json.loads((place / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _programme_notes(told: pd.DataFrame) -> Iterator[str]:
    programmes = told[told["name"].str.startswith("programme ")] if len(told) else told
    if len(programmes):
        yield (
            f"{int(programmes['shown'].sum())} of {len(programmes)} programmes of expression are "
            f"drawn; of the others slides tell no more than chance, or the members of the ensemble "
            f"do not share them ({_PREDICTABILITY}, with the figures of all genes)"
        )


def _place_notes(bags: BagStore, wanted: Sequence[str]) -> Iterator[str]:
    """Slides of which no picture can be drawn."""
    slides = (slide for patient in wanted for slide in bags.slides(patient))
    unplaced = [slide.path.stem for slide in slides if slide.coords_path is None]
    if unplaced:
        yield (
            f"{len(unplaced)} slides have features that do not tell where their patches lie: they "
            f"get a table of patches and no picture: {listed(unplaced)}; extract them anew for maps"
        )


def _image_notes(how: ExplanationSettings, bags: BagStore, wanted: Sequence[str]) -> Iterator[str]:
    """Slides without an image are drawn on the grid."""
    names = [slide.path.stem for patient in wanted for slide in bags.slides(patient)]
    missing = [name for name in names if name not in how.images]
    if how.images and missing:
        yield (
            f"{len(missing)} slides are not at hand and are drawn on the grid of their patches: "
            f"{listed(missing)}"
        )


def _unused_images(how: ExplanationSettings, bags: BagStore) -> Iterator[str]:
    """Images without features are not used."""
    unused = set(how.images) - {s.path.stem for p in bags.patients for s in bags.slides(p)}
    if unused:
        listing = listed(sorted(unused))
        yield f"{len(unused)} slides have no features here and are not used: {listing}"
