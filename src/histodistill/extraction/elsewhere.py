"""Slides as tasks of an engine: from one machine's workers to many nodes with GPUs.

Slides are independent and each ends in one file. Claims in the output folder keep any slide from
being worked on twice, and what was finished stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from histodistill.encoders import PatchEncoder
from histodistill.encoders.torchscript import require_permission
from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import LostTaskError
from histodistill.engines.scheduling import batched, run_tasks
from histodistill.extraction.output_folder import OutputFolder, SlideRecord
from histodistill.extraction.run import ExtractionSummary, Progress, extract_slides
from histodistill.extraction.settings import ExtractionSettings
from histodistill.extraction.slide_list import SlideEntry

_TASKS = ".tasks"
# Of a slide on a GPU; a task of several costs one start of Python and one load of the encoder.
_SECONDS = 60.0


@dataclass(frozen=True)
class SlidesThere:
    """Extracts slides on any machine; all paths are seen by all of them.

    Attributes:
        settings: What is extracted; each worker loads the encoder by it, and keeps it.
        out_dir: The output folder.
        weights: Local weights file.
        device: ``cuda`` reserves one GPU a task.
        batch_size: Patches encoded together.
        workers: Reading threads of a task, and the CPU cores it reserves.
        allow_code: Whether a TorchScript file, which is a program, may run.
    """

    settings: ExtractionSettings
    out_dir: Path
    weights: Path | None = None
    device: str = "cpu"
    batch_size: int | None = None
    workers: int = 1
    allow_code: bool = False

    def __call__(self, slides: Sequence[SlideEntry]) -> ExtractionSummary:
        """Extract the slides of a task."""
        described = self.settings.model_dump_json()
        encoder = _encoder(described, self.weights, self.device, self.allow_code)
        return extract_slides(
            slides,
            encoder,
            self.out_dir,
            self.settings,
            batch_size=self.batch_size,
            workers=self.workers,
            wait=True,
        )


def extract_elsewhere(
    slides: Sequence[SlideEntry],
    work: SlidesThere,
    place: Place,
    progress: Progress | None = None,
) -> ExtractionSummary:
    """Extract slides on an engine.

    Args:
        slides: The slides.
        work: What is done to each.
        place: The engine.
        progress: Told of each slide that is over.

    Raises:
        InputError: The engine is not there; or as for
            :func:`histodistill.extraction.extract_slides`.
    """
    if work.settings.encoder == "torchscript":
        require_permission(work.weights, work.allow_code)
    folder = OutputFolder(work.out_dir)
    folder.begin(work.settings)
    gpu = work.device.startswith("cuda")
    with opened(place, work.out_dir / _TASKS, threads=work.workers, gpu=gpu) as engine:
        summaries = []
        tasks = batched(slides, lambda _: _SECONDS, engine)
        for task, summary in run_tasks(engine, work, tasks):
            if isinstance(summary, LostTaskError):
                summaries.append(_lost(task, summary, folder))
            else:
                summaries.append(summary)
            _tell(summaries[-1], progress)
    return _joined(summaries)


@lru_cache(maxsize=1)
def _encoder(settings: str, weights: Path | None, device: str, allow_code: bool) -> PatchEncoder:
    chosen = ExtractionSettings.model_validate_json(settings)
    return chosen.load_encoder(weights, device, allow_code=allow_code)


def _lost(
    slides: Sequence[SlideEntry], lost: LostTaskError, folder: OutputFolder
) -> ExtractionSummary:
    """What becomes of slides whose worker ended each time."""
    reason = f"its worker ended each time that it was tried, last: {lost}"
    records = [
        SlideRecord(s.slide_id, "failed", reason=reason, patient=s.patient, file=str(s.path))
        for s in slides
    ]
    for record in records:
        folder.write_record(record)
    return ExtractionSummary(tuple(records), 0, 0, 0.0)


def _tell(summary: ExtractionSummary, progress: Progress | None) -> None:
    if progress is None:
        return
    for record in summary.records:
        progress.slide_started(record.slide, record.patches)
        progress.patches_encoded(record.patches)
        progress.slide_finished(record, earlier=summary.resumed == len(summary.records))


def _joined(summaries: Sequence[ExtractionSummary]) -> ExtractionSummary:
    records = [record for summary in summaries for record in summary.records]
    return ExtractionSummary(
        tuple(sorted(records, key=lambda record: record.slide)),
        sum(summary.resumed for summary in summaries),
        sum(summary.patches for summary in summaries),
        max((summary.seconds for summary in summaries), default=0.0),
    )
