"""Slides as tasks of a Ray cluster: from one machine's workers to many nodes with GPUs.

Slides are independent and each ends in one file, so each is one task. A task that dies with its
worker is started again by Ray; the claims in the output folder keep any slide from being worked
on twice, and what was finished stays.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from histodistill.encoders import PatchEncoder
from histodistill.encoders.torchscript import require_permission
from histodistill.errors import InputError
from histodistill.extraction.output_folder import OutputFolder
from histodistill.extraction.run import ExtractionSummary, Progress, extract_slides
from histodistill.extraction.settings import ExtractionSettings
from histodistill.extraction.slide_list import SlideEntry

_RETRIES = 3
_ANSWER_S = 10.0


@dataclass(frozen=True)
class ClusterTask:
    """What every task of a run shares; all paths are seen by all nodes.

    Attributes:
        settings: What is extracted; each worker loads the encoder by it.
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


def extract_on_cluster(
    slides: Sequence[SlideEntry],
    task: ClusterTask,
    address: str,
    progress: Progress | None = None,
) -> ExtractionSummary:
    """Extract slides on a Ray cluster.

    Args:
        slides: The slides.
        task: What is done to each.
        address: Of the cluster (``host:port``, ``auto``, ``ray://...``), or ``local`` to start one
            on this machine.
        progress: Told of each slide that is over.

    Raises:
        InputError: Ray is not installed or the cluster cannot be reached; or as for
            :func:`histodistill.extraction.extract_slides`.
    """
    if task.settings.encoder == "torchscript":
        require_permission(task.weights, task.allow_code)
    OutputFolder(task.out_dir).begin(task.settings)
    ray = _ray()
    with _connection(ray, address):
        extract = ray.remote(
            num_cpus=task.workers,
            num_gpus=1 if task.device.startswith("cuda") else 0,
            max_retries=_RETRIES,
        )(extract_one)
        tasks = [extract.remote(slide, task) for slide in slides]
        return _joined(list(_finished(ray, tasks, progress)))


@contextmanager
def _connection(ray: ModuleType, address: str) -> Iterator[None]:
    """A connection to the cluster; one that the caller has already is used and left open."""
    if ray.is_initialized():
        yield
        return
    _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"No Ray cluster answers at {address!r} ({error}).") from error
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself tries a wrong address for minutes, then ends the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Ray cluster answers at {address!r} ({error}). Give the address that 'ray start' "
            "told, or 'local'."
        ) from error


def extract_one(slide: SlideEntry, task: ClusterTask) -> ExtractionSummary:
    """One slide in a worker process, which keeps its encoder for the next."""
    encoder = _encoder(task.settings.model_dump_json(), task.weights, task.device, task.allow_code)
    return extract_slides(
        [slide],
        encoder,
        task.out_dir,
        task.settings,
        batch_size=task.batch_size,
        workers=task.workers,
        wait=True,
    )


@lru_cache(maxsize=1)
def _encoder(settings: str, weights: Path | None, device: str, allow_code: bool) -> PatchEncoder:
    chosen = ExtractionSettings.model_validate_json(settings)
    return chosen.load_encoder(weights, device, allow_code=allow_code)


def _finished(
    ray: ModuleType, tasks: list[Any], progress: Progress | None
) -> Iterator[ExtractionSummary]:
    while tasks:
        ready, tasks = ray.wait(tasks)
        for summary in ray.get(ready):
            if progress is not None:
                for record in summary.records:
                    progress.slide_started(record.slide, record.patches)
                    progress.patches_encoded(summary.patches)
                    progress.slide_finished(record, earlier=summary.resumed > 0)
            yield summary


def _joined(summaries: list[ExtractionSummary]) -> ExtractionSummary:
    records = [record for summary in summaries for record in summary.records]
    return ExtractionSummary(
        tuple(sorted(records, key=lambda record: record.slide)),
        sum(summary.resumed for summary in summaries),
        sum(summary.patches for summary in summaries),
        max((summary.seconds for summary in summaries), default=0.0),
    )


def _ray() -> ModuleType:
    try:
        return import_module("ray")
    except ImportError as error:
        raise InputError(
            "Extraction on a cluster needs the extra 'cluster': pip install "
            "'histodistill[cluster]'."
        ) from error
