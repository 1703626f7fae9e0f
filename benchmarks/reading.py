"""Reading bags: how long the packed store takes, against h5 and PyTorch files.

    python benchmarks/reading.py

Writes the same float16 bags in every layout under a temporary folder, checks that all give the
same values, then reads every bag, whole and as random samples, interleaved over several rounds,
and prints how many times longer the other layouts take than the packed store. All files lie in
the page cache. "Contiguous" and "chunks" are h5 datasets stored in one piece, or in chunks of
so many rows; TRIDENT and CLAM write chunks of 1 row.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import torch
from torch import Tensor

from histodistill.features import BagStore, open_bags

SAMPLE = 2048

Write = Callable[[Path, Tensor], None]
Read = Callable[[BagStore, str], Tensor]


def h5(chunk_rows: int | None) -> Write:
    """What writes an h5 file in chunks of so many rows, or in one piece."""

    def write(path: Path, bag: Tensor) -> None:
        chunks = None if chunk_rows is None else (min(chunk_rows, len(bag)), bag.shape[1])
        with h5py.File(path, "w") as file:
            file.create_dataset("features", data=bag.numpy(), chunks=chunks)

    return write


LAYOUTS: dict[str, tuple[str, Write]] = {
    "h5, chunks of 1 row": (".h5", h5(1)),
    "h5, chunks of 256 rows": (".h5", h5(256)),
    "h5, contiguous": (".h5", h5(None)),
    ".pt": (".pt", lambda path, bag: torch.save(bag, path)),
}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bags", type=int, default=24)
    parser.add_argument("--patches", type=int, default=12_000, help="rows of a bag")
    parser.add_argument("--width", type=int, default=1024, help="values of a row")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(
        f"PyTorch {torch.__version__}, threads: {torch.get_num_threads()}, cores: {os.cpu_count()}"
    )
    n_bytes = asked.bags * asked.patches * asked.width * 2
    print(
        f"{asked.bags} bags of {asked.patches:,} x {asked.width:,} float16: {n_bytes / 1e9:.2f} GB "
        "in each layout"
    )
    with tempfile.TemporaryDirectory() as folder:
        stores = _stores(Path(folder), asked.bags, asked.patches, asked.width)
        _check(stores)
        generator = torch.Generator().manual_seed(0)
        tasks: dict[str, Read] = {
            "whole bags, copied into a batch": lambda store, patient: store.bag(patient).clone(),
            f"samples of {SAMPLE:,}": lambda store, patient: store.sample(
                patient, SAMPLE, generator
            ),
        }
        for title, read in tasks.items():
            _report(title, _milliseconds(stores, read, asked.rounds))


def _stores(folder: Path, n_bags: int, n_patches: int, width: int) -> dict[str, BagStore]:
    """The same bags in every layout; the packed ones are packed from the last."""
    paths: dict[str, dict[str, list[Path]]] = {name: {} for name in LAYOUTS}
    for i in range(n_bags):
        bag = torch.randn(n_patches, width, generator=torch.Generator().manual_seed(i)).half()
        for name, (suffix, write) in LAYOUTS.items():
            path = folder / name / f"{i}{suffix}"
            path.parent.mkdir(exist_ok=True)
            write(path, bag)
            paths[name][f"patient {i}"] = [path]
    start = time.perf_counter()
    stores = {"packed": open_bags(paths[name], cache=folder / "packed")}
    print(f"packed from {name} files in {time.perf_counter() - start:.1f} s", end="; ")
    start = time.perf_counter()
    open_bags(paths[name], cache=folder / "packed")
    print(f"opened again in {1000 * (time.perf_counter() - start):.0f} ms")
    # Without memory for them, bags are read from their files each time.
    return stores | {name: open_bags(own, memory_limit_bytes=0) for name, own in paths.items()}


def _check(stores: dict[str, BagStore]) -> None:
    """Every layout gives the same bags and samples; all files are read once."""
    packed = stores["packed"]
    for store in stores.values():
        for patient in packed.patients:
            assert torch.equal(store.bag(patient), packed.bag(patient))
            ours, theirs = (
                each.sample(patient, SAMPLE, torch.Generator().manual_seed(0))
                for each in (packed, store)
            )
            assert torch.equal(ours, theirs)


def _milliseconds(stores: dict[str, BagStore], read: Read, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a bag of each layout, in each round."""
    measured: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(rounds):
        for name, store in stores.items():
            start = time.perf_counter()
            for patient in store.patients:
                read(store, patient)
            seconds = time.perf_counter() - start
            measured[name].append(1000 * seconds / len(store.patients))
    return measured


def _report(title: str, measured: dict[str, list[float]]) -> None:
    print(f"\n{title}: median ms a bag (fastest round), and times the packed store's")
    for name, values in measured.items():
        ratios = [a / b for a, b in zip(values, measured["packed"], strict=True)]
        print(
            f"  {name:24s} {statistics.median(values):8.2f} ({min(values):7.2f}) "
            f"{statistics.median(ratios):7.1f} x ({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
