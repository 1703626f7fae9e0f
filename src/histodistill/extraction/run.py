"""Many slides into one folder: resumable, shared by processes, one slide's fault its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from histodistill.claims import Claims
from histodistill.encoders import PatchEncoder
from histodistill.errors import InputError
from histodistill.extraction.defaults import CPU_BATCH, CUDA_BATCH, DEFAULT_WORKERS
from histodistill.extraction.output_folder import DiskFullError, OutputFolder, SlideRecord
from histodistill.extraction.settings import ExtractionSettings
from histodistill.extraction.slide_extraction import (
    PreparedSlide,
    UnusableSlideError,
    extract_slide,
    prepare_slide,
)
from histodistill.extraction.slide_list import SlideEntry
from histodistill.faults import machine_fault

# Between looks at the slides that other processes hold.
_WAIT_S = 2.0


class Progress(Protocol):
    """Who is told how a run goes."""

    def slide_started(self, slide_id: str, n_patches: int) -> None:
        """The patches of a slide are known."""

    def patches_encoded(self, n_patches: int) -> None:
        """Another batch is encoded."""

    def slide_finished(self, record: SlideRecord, *, earlier: bool) -> None:
        """A slide is over; ``earlier``: an earlier run, or another process, extracted it."""


@dataclass(frozen=True)
class ExtractionSummary:
    """What a run did.

    Attributes:
        records: One a slide, ordered by slide.
        resumed: Slides that an earlier run, or another process, had finished.
        patches: Patches that this run encoded.
        seconds: Its wall-clock time.
        notes: What was asked for and had no effect, in sentences.
    """

    records: tuple[SlideRecord, ...]
    resumed: int
    patches: int
    seconds: float
    notes: tuple[str, ...] = ()

    def with_status(self, status: str) -> list[SlideRecord]:
        """The records of one status."""
        return [record for record in self.records if record.status == status]


class _Silence:
    def slide_started(self, slide_id: str, n_patches: int) -> None:
        pass

    def patches_encoded(self, n_patches: int) -> None:
        pass

    def slide_finished(self, record: SlideRecord, *, earlier: bool) -> None:
        pass


def extract_slides(
    slides: Sequence[SlideEntry],
    encoder: PatchEncoder,
    out_dir: Path,
    settings: ExtractionSettings | None = None,
    *,
    batch_size: int | None = None,
    workers: int = DEFAULT_WORKERS,
    progress: Progress | None = None,
    wait: bool = False,
) -> ExtractionSummary:
    """Extract the patch features of slides into a folder.

    Slides that the folder already holds, made with the same settings, are not done again; those
    that failed or were skipped are tried again. Several processes may work on the same slides and
    folder. A slide's fault costs that slide; it is told in ``extraction.csv``.

    Args:
        slides: The slides, see :func:`histodistill.extraction.list_slides`.
        encoder: The encoder.
        out_dir: The folder: ``<slide>.h5``, ``extraction.csv``, ``previews/``, ``tissue/``.
        settings: By default those that the encoder's authors recommend.
        batch_size: Patches encoded together; by default 16 on a CPU, 128 on a GPU.
        workers: Threads that read and decode patches.
        progress: Told how the run goes.
        wait: Wait for slides that other processes hold, and take over those of dead ones.

    Returns:
        The summary.

    Raises:
        InputError: The folder holds features made with other settings, or the disk is full.
    """
    chosen = settings or ExtractionSettings.of(encoder)
    folder = OutputFolder(out_dir)
    folder.begin(chosen)
    default_batch = CUDA_BATCH if encoder.device.type == "cuda" else CPU_BATCH
    with (
        Claims(folder.claims) as claims,
        ThreadPoolExecutor(workers, "read") as readers,
    ):
        run = _Run(
            encoder,
            chosen,
            folder,
            claims,
            readers,
            batch_size or default_batch,
            progress or _Silence(),
        )
        return run.extract(slides, wait=wait)


@dataclass
class _Begun:
    """A slide whose patches are known, or the record of one that is over already."""

    entry: SlideEntry
    seconds: float = 0.0
    prepared: PreparedSlide | None = None
    record: SlideRecord | None = None
    earlier: bool = False


@dataclass
class _Run:
    """One process's work on a folder."""

    encoder: PatchEncoder
    settings: ExtractionSettings
    folder: OutputFolder
    claims: Claims
    readers: ThreadPoolExecutor
    batch_size: int
    progress: Progress
    patches: int = 0
    resumed: int = 0

    def extract(self, slides: Sequence[SlideEntry], *, wait: bool) -> ExtractionSummary:
        start = time.monotonic()
        records = self._pass(slides)
        while wait and (held := [each for each in slides if _held(records[each.slide_id])]):
            time.sleep(_WAIT_S)
            records |= self._pass(held)
        self.folder.write_table()
        for record in records.values():
            if _held(record):
                self.progress.slide_finished(record, earlier=True)
        return ExtractionSummary(
            tuple(records[key] for key in sorted(records)),
            self.resumed,
            self.patches,
            time.monotonic() - start,
        )

    def _pass(self, slides: Sequence[SlideEntry]) -> dict[str, SlideRecord]:
        records = {}
        for begun in _ahead(slides, self._begin):
            record = begun.record or self._finish(begun)
            records[record.slide] = record
            if not _held(record):
                self.resumed += begun.earlier
                self.progress.slide_finished(record, earlier=begun.earlier)
        return records

    def _begin(self, entry: SlideEntry) -> _Begun:
        """Claim and prepare a slide; runs while the slide before it is encoded."""
        start = time.monotonic()
        begun = _Begun(entry)
        try:
            if not self._over(begun):
                begun.prepared = prepare_slide(entry, self.settings, self.folder)
        except Exception as error:  # whatever a damaged file makes a decoder raise
            begun.record = self._fault(entry, error, time.monotonic() - start)
        begun.seconds = time.monotonic() - start
        return begun

    def _over(self, begun: _Begun) -> bool:
        """Whether the slide needs no work here: finished before, or held elsewhere."""
        slide_id = begun.entry.slide_id
        begun.record = self.folder.finished(slide_id, self.settings)
        if begun.record is None and not self.claims.take(slide_id):
            begun.record = SlideRecord(slide_id, "elsewhere", patient=begun.entry.patient)
            return True
        if begun.record is None:
            # The last holder may have finished it between the look and the claim.
            begun.record = self.folder.finished(slide_id, self.settings)
            if begun.record is not None:
                self.claims.release(slide_id)
            self.folder.sweep(slide_id)
        begun.earlier = begun.record is not None
        if begun.earlier:
            self.claims.forget(slide_id)
        return begun.earlier

    def _finish(self, begun: _Begun) -> SlideRecord:
        """Encode a prepared slide and record what became of it."""
        assert begun.prepared is not None
        prepared, start = begun.prepared, time.monotonic() - begun.seconds
        self.progress.slide_started(prepared.slide_id, len(prepared.grid))
        try:
            with prepared.slide:
                extract_slide(
                    prepared,
                    self.encoder,
                    self.settings,
                    self.folder,
                    self.readers,
                    self.batch_size,
                    self._encoded,
                )
        except Exception as error:  # as in _begin
            return self._fault(begun.entry, error, time.monotonic() - start)
        record = SlideRecord(
            prepared.slide_id,
            "done",
            len(prepared.grid),
            prepared.slide.mpp,
            prepared.slide.mpp_source,
            "segmented" if begun.entry.tissue is None else begun.entry.tissue.name,
            seconds=round(time.monotonic() - start, 2),
            patient=begun.entry.patient,
            file=str(begun.entry.path),
            reason="; ".join(prepared.notes),
        )
        return self._record(record)

    def _fault(self, entry: SlideEntry, error: Exception, seconds: float) -> SlideRecord:
        """The record of a slide that could not be extracted.

        Raises:
            InputError: The fault is not the slide's: of the disk, or of the GPU's memory.
        """
        _raise_if_not_the_slides(error, self.folder)
        if isinstance(error, InputError):
            reason = "; ".join(error.problems)
        else:
            reason = machine_fault(error) or f"{type(error).__name__}: {error}"
        record = SlideRecord(
            entry.slide_id,
            "skipped" if isinstance(error, UnusableSlideError) else "failed",
            mpp=entry.mpp,
            reason=reason,
            seconds=round(seconds, 2),
            patient=entry.patient,
            file=str(entry.path),
        )
        return self._record(record)

    def _record(self, record: SlideRecord) -> SlideRecord:
        self.folder.write_record(record)
        with contextlib.suppress(KeyError):  # a fault before the claim
            self.claims.release(record.slide)
        return record

    def _encoded(self, n_patches: int) -> None:
        self.patches += n_patches
        self.progress.patches_encoded(n_patches)


def _ahead(slides: Sequence[SlideEntry], begin: Callable[[SlideEntry], _Begun]) -> Iterator[_Begun]:
    """Begin each slide while the one before it is worked on."""
    with ThreadPoolExecutor(1, "prepare") as preparing:
        waiting: Future[_Begun] | None = None
        for entry in slides:
            begun, waiting = waiting, preparing.submit(begin, entry)
            if begun is not None:
                yield begun.result()
        if waiting is not None:
            yield waiting.result()


def _held(record: SlideRecord) -> bool:
    return record.status == "elsewhere"


def _raise_if_not_the_slides(error: Exception, folder: OutputFolder) -> None:
    if isinstance(error, DiskFullError):
        raise error
    if isinstance(error, torch.OutOfMemoryError):
        raise InputError(
            "The GPU's memory is too small for this batch; give a smaller --batch-size. Finished "
            "slides are kept."
        ) from error
    if _concerns(error, folder.path):
        raise InputError(f"{machine_fault(error)}. Finished slides are kept.") from error


def _concerns(error: Exception, folder: Path) -> bool:
    """Whether a fault of the machine kept something from being written into a folder."""
    if not isinstance(error, OSError) or error.filename is None:
        return False
    named = error.filename
    return isinstance(named, str | os.PathLike) and Path(named).is_relative_to(folder)
