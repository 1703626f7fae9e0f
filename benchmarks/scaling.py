"""How time and memory grow with the number of patients and with the size of their bags.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --patients 100 1000 --patches 500 8000

Every line is measured in a process of its own, so that its peak memory is its own. All data
are generated. Down each table, the time per patient or per patch should stay the same, and so
should the memory: that of the process in the first and the third table, that per patch of the
batch in the second, where activations are kept for the backward pass.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from histodistill.computing.freed_memory import keep_freed_memory
from histodistill.computing.peak_memory import peak_bytes
from histodistill.experiment import MethodSettings
from histodistill.experiment.methods import TrainingSettings
from histodistill.features import BagStore
from histodistill.genomics import GenomicPreprocessor
from histodistill.model import (
    Bags,
    Batch,
    Genes,
    Networks,
    NetworkSettings,
    ObjectiveSettings,
    objective,
)
from histodistill.preparation import PreparedPatients, Transforms
from histodistill.training.loop.initial_networks import build_networks
from histodistill.training.loop.trainer import Trainer

WIDTH = 1024
GENES = 512
TOKEN = 128
BAG = 64
VALIDATION = 32
BAGS_IN_BATCH = 4
NETWORK = NetworkSettings(token_size=TOKEN)


class GeneratedBags:
    """Stands for a store of bags: each is a window of the same random patches."""

    width = WIDTH
    in_memory = True

    def __init__(self, patients: Sequence[str]) -> None:
        self.patients = list(patients)
        self._pool = _patches(50 * BAG)

    def n_patches(self, patient: str) -> int:
        """Patches of a patient."""
        del patient
        return BAG

    def bag(self, patient: str) -> Tensor:
        """A patient's bag, [n, F] float16."""
        first = int(patient) % (len(self._pool) - BAG)
        return self._pool[first : first + BAG]


def epoch(n_patients: int) -> tuple[float, float]:
    """Milliseconds a patient of an epoch of all three networks; the process's peak, MB."""
    patients = [str(number) for number in range(n_patients + VALIDATION)]
    generator = np.random.default_rng(0)
    genes = generator.standard_normal((len(patients), GENES), dtype=np.float32)
    table = pd.DataFrame(genes, index=patients, columns=[f"gene {i}" for i in range(GENES)])
    transforms = Transforms(None, {"mrna": GenomicPreprocessor.identity(list(table.columns))})
    labels = {patient: int(patient) % 2 for patient in patients}
    prepared = PreparedPatients(
        cast(BagStore, GeneratedBags(patients)),
        transforms.scaled({"mrna": table}),
        transforms,
        TOKEN,
        labels,
    )
    method = MethodSettings(
        recipe="mkd",
        network=NETWORK,
        objective=ObjectiveSettings(),
        training=TrainingSettings(max_epochs=1),
    )
    trainer = Trainer(
        build_networks(method, WIDTH, prepared.blocks, 2, seed=0),
        method,
        prepared,
        training=patients[VALIDATION:],
        validation=patients[:VALIDATION],
        seed=0,
        device=torch.device("cpu"),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer.fit(Path(folder))
    return 1e3 * trainer.seconds / n_patients, _peak() / 1e6


def step(n_patches: int) -> tuple[float, float]:
    """Microseconds a patch of a training step; bytes a patch beyond the batch."""
    keep_freed_memory()
    networks = _networks()

    def run(batch: Batch) -> None:
        terms = objective(networks(batch), batch.labels, ObjectiveSettings())
        networks.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())

    return _measured(run, _batch(n_patches))


def inference(n_patches: int) -> tuple[float, float]:
    """Microseconds a patch of one bag without gradients; MB beyond the bag."""
    networks = _networks().eval()

    @torch.inference_mode()
    def run(batch: Batch) -> None:
        networks(batch)

    micros, beyond = _measured(run, _batch(n_patches, n_bags=1))
    return micros, beyond * n_patches / 1e6


def _measured(run: Callable[[Batch], None], batch: Batch) -> tuple[float, float]:
    """Microseconds and bytes beyond those before, both a patch."""
    run(_batch(8, n_bags=2))  # what the libraries take, and the gradients of the weights
    assert batch.bags is not None
    patches = sum(batch.bags.sizes)
    before = _peak()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - start)
    return 1e6 * statistics.median(seconds) / patches, (_peak() - before) / patches


def _batch(n_patches: int, n_bags: int = BAGS_IN_BATCH) -> Batch:
    rows = torch.arange(n_bags)
    present = torch.ones(n_bags, dtype=torch.bool)
    genes = Genes({"mrna": torch.randn(n_bags, GENES // TOKEN, TOKEN)}, {"mrna": present}, rows)
    bags = Bags((_patches(n_patches * n_bags),), (n_patches,) * n_bags, rows)
    return Batch(bags, genes, rows % 2)


def _patches(n_patches: int) -> Tensor:
    """Random patches in float16, made in parts: none of them counts towards a later peak."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.empty(n_patches, WIDTH, dtype=torch.float16)
    for part in torch.split(patches, 512):
        part.copy_(torch.randn(part.shape, generator=generator))
    return patches


def _networks() -> Networks:
    torch.manual_seed(0)
    return Networks(WIDTH, {"mrna": GENES // TOKEN}, 2, NETWORK)


def _peak() -> float:
    """Peak memory of this process, bytes (Linux)."""
    return float(peak_bytes())


def report(
    title: str, columns: str, measure: Callable[[int], tuple[float, float]], sizes: Sequence[int]
) -> None:
    """Print a table, a process a line."""
    print(f"\n{title}\n\n{columns}\n|---|---|---|")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        for size, (cost, memory) in zip(sizes, processes.map(measure, sizes), strict=True):
            print(f"| {size:,} | {cost:.2f} | {memory:,.0f} |", flush=True)


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, nargs="*", default=[100, 300, 1000, 3000, 10_000])
    parser.add_argument("--patches", type=int, nargs="*", default=[500, 2000, 8000, 40_000])
    options = parser.parse_args()
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    report(
        f"Training, an epoch, bags of {BAG} patches:",
        "| patients | ms a patient | peak of the process, MB |",
        epoch,
        options.patients,
    )
    report(
        f"Training, a step, {BAGS_IN_BATCH} bags:",
        "| patches a bag | µs a patch | bytes a patch beyond the batch |",
        step,
        options.patches,
    )
    report(
        "Inference, one bag:",
        "| patches | µs a patch | MB beyond the bag |",
        inference,
        [*options.patches, 100_000],
    )


if __name__ == "__main__":
    main()
