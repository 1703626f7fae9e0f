"""Prediction from files: what was extracted or is to be, and tables of genes.

All that can be wrong is found by :func:`plan_prediction`, before hours of extraction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy import Bundle, Panel, Predictions, predict
from histodistill.deploy.panel import told_of_targets
from histodistill.deploy.predict import OnAnswers, check_request
from histodistill.engines.choice import Place
from histodistill.engines.single_task import run_one
from histodistill.errors import InputError, Problems
from histodistill.experiment.data import read_block
from histodistill.experiment.inputs import BlockSettings
from histodistill.extraction import Progress
from histodistill.features import BagStore, open_bags
from histodistill.genomics import GenomicTable
from histodistill.model import NetworkName
from histodistill.tables.cells import numeric_code
from histodistill.workflows.new_features import NewFeatures
from histodistill.workflows.new_slide_settings import NewSlideSettings
from histodistill.workflows.new_slides import SlidePlan, plan_slides

# Over fewer, an odd patient of a sound table may look as if on another scale.
_GENES_THAT_SHOW_A_SCALE = 500


@dataclass(frozen=True)
class PredictionRequest:
    """Who shall be predicted, and from what.

    Attributes:
        slides: A folder, or a table, of slides whose features are to be extracted.
        how: How they are extracted; needed with ``slides``.
        features: Features that were extracted already, instead of slides.
        genomics: Tables of genes, by the names of the bundle's blocks.
        sample_types: TCGA sample types that are read.
        max_missing_genes: Share of a block's genes that may be absent, and are imputed.
        check_scale: Whether genes on another scale than the training patients' are refused.
        threshold: Operating threshold of all networks instead of the bundle's own.
        triage: Whom to release from the test, instead of the bundle's own policy, if it has one.
        site: The hospital of all patients, as for :func:`histodistill.predict`.
        device: ``auto`` (an NVIDIA GPU where there is one, else the CPU), ``cpu``, ``cuda``,
            ``cuda:<n>`` or ``mps``.
        place: Where the answers are computed, in one task; slides are extracted where ``how`` says.
        threads: Elsewhere, the threads of that task; by default 1.
        scratch: Elsewhere, a folder that all machines see, for what a scheduler writes.

    Raises:
        InputError: There is nothing to predict from, or slides and features as well.
    """

    slides: Path | None = None
    how: NewSlideSettings | None = None
    features: NewFeatures | None = None
    genomics: Mapping[str, Path] = field(default_factory=dict)
    sample_types: Collection[str] = (PRIMARY_TUMOUR,)
    max_missing_genes: float = 0.2
    check_scale: bool = True
    threshold: float | None = None
    triage: TriagePolicy | None = None
    site: str | None = None
    device: str = "auto"
    place: Place = field(default_factory=Place)
    threads: int | None = None
    scratch: Path = Path(".tasks")

    def __post_init__(self) -> None:
        if self.slides is None and self.features is None and not self.genomics:
            raise InputError(
                "nothing to predict from: give slides (--slides DIR) or features (--features DIR), "
                "genomics (--genomics NAME=FILE), or both"
            )
        if self.slides is not None and self.features is not None:
            raise InputError("give either slides (--slides) or features (--features)")
        if self.slides is not None and self.how is None:
            raise InputError("slides need to be told how they are extracted (`how`)")


@dataclass(frozen=True)
class PredictionPlan:
    """Patients that can be predicted.

    Attributes:
        bundles: The model of each target.
        request: What was asked for.
        slides: Slides that are extracted first, if any.
        bags: Features that were extracted already, if any.
        genomics: Blocks, patients x genes.
        notes: What was resolved or left out, in sentences.
    """

    bundles: Mapping[str, Bundle]
    request: PredictionRequest
    slides: SlidePlan | None
    bags: BagStore | None
    genomics: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]

    def run(
        self, progress: Progress | None = None, on_answers: OnAnswers | None = None
    ) -> Predictions:
        """Extract what is to be extracted, and predict.

        Args:
            progress: Told how the extraction goes.
            on_answers: Told how the prediction goes, as in :func:`histodistill.predict`.

        Raises:
            InputError: No slide could be used, or as :func:`histodistill.predict`.
        """
        if self.slides is None:
            return self._predicted(self.bags, on_answers)
        extracted = self.slides.extract(progress)
        predicted = self._predicted(open_bags(extracted.files), on_answers)
        notes = (*extracted.notes, *predicted.notes)
        return replace(predicted, notes=notes, failed=extracted.failed)

    def _predicted(self, bags: BagStore | None, on_answers: OnAnswers | None) -> Predictions:
        request = self.request
        if request.place.engine == "local":
            return self.answered(bags, on_answers)
        gpu = request.device.startswith("cuda")
        # Slides are extracted by now, and their encoder stays here.
        work = _Answering(replace(self, slides=None, bags=bags))
        answers: Predictions = run_one(
            request.place, request.scratch, work, threads=request.threads, gpu=gpu
        )
        return answers

    def answered(self, bags: BagStore | None, on_answers: OnAnswers | None = None) -> Predictions:
        """Predict from features that are there, in this process."""
        n = len(self.bundles)

        def told(place: int) -> OnAnswers | None:
            if on_answers is None or n == 1:
                return on_answers
            return lambda done, of: on_answers(place * of + done, n * of)

        return _side_by_side(
            {
                name: self._answers(bundle, bags, told(place))
                for place, (name, bundle) in enumerate(self.bundles.items())
            }
        )

    def _answers(
        self, bundle: Bundle, bags: BagStore | None, on_answers: OnAnswers | None
    ) -> Predictions:
        return predict(
            bundle,
            bags=bags,
            genomics=self.genomics,
            max_missing_genes=self.request.max_missing_genes,
            check_scale=self.request.check_scale,
            thresholds=_thresholds(bundle, self.request.threshold),
            triage=self.request.triage,
            site=self.request.site,
            device=self.request.device,
            on_answers=on_answers,
        )


@dataclass(frozen=True)
class _Answering:
    """Predicts in another process; the bags that it takes along are the paths of files."""

    plan: PredictionPlan

    def __call__(self, _task: object) -> Predictions:
        return self.plan.answered(self.plan.bags)


def plan_prediction(model: Bundle | Panel, request: PredictionRequest) -> PredictionPlan:
    """Read and check everything but the slides themselves.

    Args:
        model: A trained model, or those of several targets, of which each answers.
        request: Who shall be predicted, and from what.

    Raises:
        InputError: All problems at once, of the slides, the encoder, the features and the genes.
    """
    bundles = model.bundles if isinstance(model, Panel) else {model.info.target: model}
    info = next(iter(bundles.values())).info
    problems = Problems()
    notes: list[str] = []
    if request.threshold is not None and len(bundles) > 1:
        problems.add(
            [f"a threshold is of one target: say with --target which of {', '.join(bundles)}"]
        )
    genomics = _genomics(bundles, request, problems, notes)
    slides = bags = None
    if request.slides is not None and request.how is not None:
        slides = problems.attempt(partial(plan_slides, info, request.slides, request.how))
        notes += slides.notes if slides else ()
    elif request.features is not None:
        found = partial(request.features.open, info.patient_pattern)
        bags, told = problems.attempt(found) or (None, [])
        notes += told
    problems.raise_any()
    return PredictionPlan(bundles, request, slides, bags, genomics, tuple(notes))


def _side_by_side(predicted: Mapping[str, Predictions]) -> Predictions:
    """The answers for several targets in one table, those of a patient one below the other."""
    if len(predicted) == 1:
        return next(iter(predicted.values()))
    rows = pd.concat([own.table for own in predicted.values()], ignore_index=True)
    table = rows.sort_values("PATIENT", kind="stable", ignore_index=True)
    return Predictions(table, told_of_targets({n: own.notes for n, own in predicted.items()}))


def read_blocks(
    bundle: Bundle, files: Mapping[str, Path], sample_types: Collection[str] = (PRIMARY_TUMOUR,)
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Read tables of genes as the bundle's training read its own.

    Args:
        bundle: A trained model.
        files: Tables by the names of its blocks.
        sample_types: TCGA sample types that are read.

    Returns:
        Blocks, patients x genes, for :func:`histodistill.predict`; and notes.

    Raises:
        InputError: Everything that is wrong in any of the files, all at once.
    """
    problems = Problems()
    blocks: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    recorded = bundle.info.blocks
    for name, path in files.items():
        if name not in recorded:
            known = ", ".join(recorded) or "none"
            problems.add(
                [f"{path}: the bundle reads no block {name}; the bundle's blocks: {known}"]
            )
            continue
        settings = BlockSettings(file=path, **recorded[name] | {"format": "auto"})
        table = problems.attempt(partial(read_block, name, settings, sample_types))
        if table is not None:
            blocks[name] = table.values
            notes += (*table.notes, *_of_scale(table))
    problems.raise_any()
    return blocks, notes


def _of_scale(table: GenomicTable) -> Sequence[str]:
    """What is told of a table's scale; of a panel, which shows too little of it, codes alone."""
    wide = table.values.shape[1] >= _GENES_THAT_SHOW_A_SCALE
    coded = numeric_code(table.values.to_numpy()) is not None
    return table.scale_problems if wide or coded else ()


def _genomics(
    bundles: Mapping[str, Bundle],
    request: PredictionRequest,
    problems: Problems,
    notes: list[str],
) -> dict[str, pd.DataFrame]:
    """The blocks, held against every bundle."""
    first = next(iter(bundles.values()))
    read = problems.attempt(partial(read_blocks, first, request.genomics, request.sample_types))
    blocks, told = read or ({}, [])
    notes += told
    refused: dict[str, tuple[str, ...]] = {}
    for name, bundle in bundles.items():
        try:
            _check(bundle, request, blocks)
        except InputError as error:
            refused[name] = error.problems
    if refused:
        problems.add(told_of_targets({name: refused.get(name, ()) for name in bundles}))
    return blocks


def _check(bundle: Bundle, request: PredictionRequest, blocks: Mapping[str, pd.DataFrame]) -> None:
    check_request(
        bundle,
        blocks,
        max_missing_genes=request.max_missing_genes,
        check_scale=request.check_scale,
        thresholds=_thresholds(bundle, request.threshold),
        triage=request.triage,
        site=request.site,
    )


def _thresholds(bundle: Bundle, threshold: float | None) -> dict[NetworkName, float] | None:
    return None if threshold is None else dict.fromkeys(bundle.networks, threshold)
