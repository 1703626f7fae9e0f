"""A whole experiment: all three networks, five folds, a hundred epochs.

    python benchmarks/experiment.py --device cuda
    python benchmarks/experiment.py --device cpu --sample 1024 --validation-sample 1024
    python benchmarks/experiment.py --device cpu --sample 1024 --folds 1 --epochs 2 --estimate 100

Generates a cohort and packs it, 17 GB by default, below ``--folder`` or a temporary folder; a
cohort of the same sizes that is there already is used again. Then the recipe ``mkd`` is
trained on folds of it, without early stopping, and the test patients are scored. The time
counts from the packed bags to the last score: validation after every epoch, checkpoints and
moving the bags to a GPU are in it, and starting processes with ``--jobs``; generating the
cohort, and choosing genes, are not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch

from histodistill.cohort import ClinicalTable, Fold, Target, stratified_folds
from histodistill.computing.device import resolve_device
from histodistill.computing.peak_memory import peak_bytes
from histodistill.experiment import ExperimentData, MethodSettings
from histodistill.experiment.methods import TrainingSettings
from histodistill.features import BagStore, PackedBags, SlideFeatures
from histodistill.features.packing.manifest import (
    Manifest,
    PackedPatient,
    PackedSlide,
    Stamp,
    read_manifest,
    write_manifest,
)
from histodistill.files import whole_file
from histodistill.genomics import GenomicPreprocessor
from histodistill.model import NetworkSettings, ObjectiveSettings
from histodistill.preparation import Transforms
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fit.trainings import in_one_pass
from histodistill.training.fold.fold_data import FoldData

TARGET = "ER"
PARTS = 5
ROWS = 4096
CLASSES = Target(
    name="label", column="label", classes=("negative", "positive"), positive="positive"
)


@dataclass(frozen=True)
class Sizes:
    """How large the cohort is."""

    patients: int
    patches: int
    width: int
    genes: int

    @property
    def names(self) -> list[str]:
        """The patients."""
        return [f"P{number:05d}" for number in range(self.patients)]

    @property
    def n_bytes(self) -> int:
        """Bytes of all bags."""
        return self.patients * self.patches * self.width * 2


@dataclass(frozen=True)
class Measured:
    """What one fold took, or several in one pass.

    Attributes:
        folds: How many.
        seconds: In all.
        training: Of these, in epochs, validation included.
        operations: Floating-point operations of these epochs.
        visits: Training patients times epochs.
        peak: Peak memory of the process, bytes.
        gpu_peak: Peak memory on the GPU, bytes.
        on_gpu: Whether the bags lay there.
    """

    folds: int
    seconds: float
    training: float
    operations: float
    visits: int
    peak: int
    gpu_peak: int
    on_gpu: bool


def packed(folder: Path, sizes: Sizes) -> BagStore:
    """The generated cohort, packed in a folder; a block of rows in memory at a time."""
    path = folder / f"{sizes.patients}x{sizes.patches}x{sizes.width}.bags"
    manifest = read_manifest(path)
    if manifest is None:
        start = time.perf_counter()
        manifest = _written(path, sizes)
        print(f"cohort generated and packed in {time.perf_counter() - start:.0f} s")
    return BagStore(manifest.slides, packed=PackedBags(path, manifest))


def _written(path: Path, sizes: Sizes) -> Manifest:
    """Write random patches and their manifest; no feature files lie behind them."""
    digest = hashlib.sha256()
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        for block in _blocks(sizes):
            stream.write(block)
            digest.update(block)
    patients = []
    for number, name in enumerate(sizes.names):
        slide = SlideFeatures(Path(name), sizes.patches, sizes.width, "float16")
        slides = (PackedSlide(slide=slide, sources={}),)
        offset = number * sizes.patches
        patients.append(
            PackedPatient(patient=name, offset=offset, size=sizes.patches, slides=slides)
        )
    manifest = Manifest(
        dtype="float16",
        width=sizes.width,
        data=Stamp.of(path, digest.hexdigest()),
        patients=tuple(patients),
    )
    write_manifest(path, manifest)
    return manifest


def _blocks(sizes: Sizes) -> Iterator[memoryview]:
    """All patches of the cohort, normal and independent, in float16."""
    generator = torch.Generator().manual_seed(0)
    left = sizes.patients * sizes.patches
    while left:
        rows = min(left, ROWS)
        yield torch.randn(rows, sizes.width, generator=generator).half().numpy().data
        left -= rows


def experiment_data(bags: BagStore, sizes: Sizes) -> ExperimentData:
    """The cohort with random genes, and labels of both classes."""
    genes = np.random.default_rng(0).standard_normal((sizes.patients, sizes.genes), np.float32)
    columns = [f"gene {number}" for number in range(sizes.genes)]
    labels = pd.array([number % 2 for number in range(sizes.patients)], dtype="Int64")
    clinical = ClinicalTable(
        patients=tuple(sizes.names),
        labels=pd.DataFrame({TARGET: labels}, index=sizes.names),
        sites=pd.Series("unknown", index=sizes.names),
        survival=None,
    )
    table = pd.DataFrame(genes, index=sizes.names, columns=columns)
    return ExperimentData(clinical, bags, {"mrna": table}, pd.DataFrame(), ())


def run(
    data: ExperimentData, folds: Sequence[Fold], method: MethodSettings, threads: int
) -> Measured:
    """Train on folds, in one pass where that is faster, and score their test patients."""
    torch.set_num_threads(threads)
    assert data.bags is not None
    table = data.genomics["mrna"]
    transforms = Transforms(None, {"mrna": GenomicPreprocessor.identity(list(table.columns))})
    device = resolve_device(method.training.device)
    labels = data.labels(TARGET)
    start = time.perf_counter()
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        fits = {
            fold.index: fit_model.steps(
                method,
                CLASSES,
                FoldData(TARGET, fold, labels, transforms, (), data, {TARGET: CLASSES}),
                0,
                Path(folder) / str(fold.index),
                lambda _: ends.append(time.perf_counter()),
            )
            for fold in folds
        }
        for index, fitted in in_one_pass(fits):
            if isinstance(fitted, Exception):
                raise fitted
            fitted.answer(next(fold for fold in folds if fold.index == index).test)
    seconds = time.perf_counter() - start
    on_gpu = device.type == "cuda"
    return Measured(
        folds=len(folds),
        seconds=seconds,
        training=ends[-1] - start,
        operations=sum(_operations(fold, method, data.bags) for fold in folds),
        visits=sum(len(fold.train) for fold in folds) * method.training.max_epochs,
        peak=peak_bytes(),
        gpu_peak=torch.cuda.max_memory_allocated(device) if on_gpu else 0,
        on_gpu=data.bags.to(device) is not data.bags,
    )


def _operations(fold: Fold, method: MethodSettings, bags: BagStore) -> float:
    """Floating-point operations of all epochs: both first layers and gates, nothing else.

    In training each layer is multiplied twice and each gate three times, as the patches need no
    gradient; in validation once.
    """
    layer = bags.width * method.network.width
    gate = method.network.width * 2 * method.network.attention_width
    whole = bags.n_patches(fold.train[0])
    drawn = min(whole, method.training.patches or whole)
    validated = min(whole, method.training.validation_patches or whole)
    trained, answered = len(fold.train) * drawn, len(fold.validation) * validated
    epoch = trained * (2 * layer + 3 * gate) + answered * (layer + gate)
    return 2.0 * 2 * epoch * method.training.max_epochs


def run_folds(
    data: ExperimentData, folds: Sequence[Fold], method: MethodSettings, jobs: int
) -> list[Measured]:
    """Run folds in this process, or each in a process of its own."""
    threads = max(1, torch.get_num_threads() // jobs)
    if jobs == 1:
        return [run(data, folds, method, threads)]
    with joblib.parallel_config(backend="loky", inner_max_num_threads=threads):
        tasks = (joblib.delayed(run)(data, [fold], method, threads) for fold in folds)
        return list(joblib.Parallel(n_jobs=jobs)(tasks))


def report(folds: Sequence[Measured], wall: float, epochs: int, estimated: int | None) -> None:
    """Print what was measured, and what follows for more epochs."""
    training, n_folds = sum(fold.training for fold in folds), sum(fold.folds for fold in folds)
    visits = sum(fold.visits for fold in folds)
    speed = sum(fold.operations for fold in folds) / training / 1e9
    print(f"\nmeasured: {wall:.1f} s in all; folds: {n_folds}, epochs of each: {epochs}")
    print(f"  an epoch of a fold, with its validation: {training / n_folds / epochs:.3f} s")
    print(f"  a training patient in an epoch: {1e3 * training / visits:.3f} ms")
    print(f"  products of the first layers and gates: {speed:,.0f} GFLOP/s in each process")
    peak = max(fold.peak for fold in folds) / 1e9
    print(f"  peak memory of a process: {peak:.2f} GB, mapped pages of the bags included")
    if any(fold.gpu_peak for fold in folds):
        where = "on the GPU" if all(fold.on_gpu for fold in folds) else "in main memory"
        gpu_peak = max(fold.gpu_peak for fold in folds) / 1e9
        print(f"  peak memory on the GPU: {gpu_peak:.2f} GB, bags {where}")
    if estimated is not None:
        in_epochs = wall * training / sum(fold.seconds for fold in folds)
        expected = wall + (estimated - epochs) * in_epochs / epochs
        print(f"\nESTIMATE, not measured: {expected:,.0f} s; folds: {n_folds}, epochs of each:")
        print(f"  {estimated}, as long as the mean of the measured ones, without more checkpoints")


def machine(device: torch.device) -> str:
    """What it runs on."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return (
        f"{processor}, {os.cpu_count()} cores{gpu}; Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
    )


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, which stays, or a temporary one."""
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=700)
    parser.add_argument("--patches", type=int, default=12_000, help="of each bag")
    parser.add_argument("--width", type=int, default=1024, help="numbers of a patch")
    parser.add_argument("--genes", type=int, default=8192)
    parser.add_argument("--sample", type=int, help="patches drawn from a bag; whole by default")
    parser.add_argument(
        "--validation-sample", type=int, help="patches that judge an epoch; whole bags by default"
    )
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--estimate", type=int, help="epochs to estimate the time of")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        help="bfloat16 by default on a GPU, float32 on a CPU",
    )
    parser.add_argument("--jobs", type=int, default=1, help="folds at the same time")
    parser.add_argument("--folder", type=Path, help="where the cohort is packed, and stays")
    return parser.parse_args()


def _method(options: argparse.Namespace, device: torch.device) -> MethodSettings:
    """The recipe, without early stopping."""
    usual = "bfloat16" if device.type == "cuda" else "float32"
    training = TrainingSettings.model_validate(
        {
            "max_epochs": options.epochs,
            "patience": options.epochs,
            "patches": options.sample,
            "validation_patches": options.validation_sample,
            "precision": options.precision or usual,
            "device": str(device),
        }
    )
    return MethodSettings(
        recipe="mkd", network=NetworkSettings(), objective=ObjectiveSettings(), training=training
    )


def main() -> None:
    """Generate the cohort, run the experiment, print what it took."""
    options = _options()
    device = resolve_device(options.device)
    method = _method(options, device)
    sizes = Sizes(options.patients, options.patches, options.width, options.genes)
    print(machine(device))
    print(
        f"{sizes.patients} patients x {sizes.patches:,} x {sizes.width:,} "
        f"({sizes.n_bytes / 1e9:.2f} GB in float16), {sizes.genes:,} genes; "
        f"{method.training.patches or 'all'} patches of a bag in an epoch, "
        f"{method.training.validation_patches or 'all'} in its validation, "
        f"{method.training.precision}, {device}, jobs: {options.jobs}",
        flush=True,
    )
    with _folder(options.folder) as folder:
        data = experiment_data(packed(folder, sizes), sizes)
        folds = stratified_folds(data.labels(TARGET), PARTS, seed=0)[: options.folds]
        start = time.perf_counter()
        measured = run_folds(data, folds, method, options.jobs)
        report(measured, time.perf_counter() - start, options.epochs, options.estimate)


if __name__ == "__main__":
    main()
