"""What share of the encoder's own speed the extraction pipeline reaches.

Each round extracts slides (your own, or generated pyramids) from file to feature file, then
encodes as many patches that lie in memory, in the same batches. The rounds alternate, so that a
busy machine slows both; the ratio of each round is told, with its spread.

    python benchmarks/extraction.py --encoder efficientnet-lite0 --rounds 5
    python benchmarks/extraction.py --encoder uni --weights uni.bin --device cuda --slides FOLDER
    python benchmarks/extraction.py --giant 100000      # one slide of 40x to its end: time, memory

A giant slide is a tiled JPEG pyramid at 0.25 µm/px, white but for a disc of tissue; its patches are
read at the encoder's µm/px.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from histodistill.computing.peak_memory import peak_bytes
from histodistill.encoders import PatchEncoder, load_encoder
from histodistill.extraction import ExtractionSettings, SlideEntry, extract_slides, list_slides
from histodistill.extraction.defaults import CPU_BATCH, CUDA_BATCH, DEFAULT_WORKERS
from histodistill.tiling import TilingSettings

TILE = 256


def main() -> None:
    """Print patches a second of both, round by round, and the ratio."""
    options = _options()
    torch.set_num_threads(options.threads)
    encoder = load_encoder(options.encoder, weights=options.weights, device=options.device)
    batch_size = options.batch_size or (CUDA_BATCH if "cuda" in options.device else CPU_BATCH)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.giant:
            print(giant(folder, options.giant, encoder, batch_size, options.workers))
            return
        if options.slides is None:
            for number in range(options.count):
                write_slide(folder / "slides" / f"{number}.tiff", options.side, seed=number)
        slides = list_slides(options.slides or folder / "slides")
        pipeline_speed(slides[:1], encoder, folder / "warm", batch_size, options.workers)
        ratios = []
        for number in range(options.rounds):
            out = folder / f"round{number}"
            pipeline, n = pipeline_speed(slides, encoder, out, batch_size, options.workers)
            alone = encoder_speed(encoder, n, batch_size)
            ratios.append(pipeline / alone)
            print(
                f"round {number + 1}: pipeline {pipeline:.1f}, encoder alone {alone:.1f} patches/s "
                f"({n} patches): {ratios[-1]:.2f}"
            )
    print(
        f"share of the encoder's own speed: median {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def giant(folder: Path, side: int, encoder: PatchEncoder, batch_size: int, workers: int) -> str:
    """What one large slide takes from its file to its features, and the memory of it."""
    write_giant(folder / "slides" / "giant.tiff", side)
    before = _peak_mb()
    start = time.process_time()
    slides = list_slides(folder / "slides")
    pipeline, n = pipeline_speed(slides, encoder, folder / "out", batch_size, workers)
    taken = time.process_time() - start
    alone = encoder_speed(encoder, n, batch_size)
    return (
        f"{side:,} x {side:,} px at 0.25 µm/px: {n} patches in {n / pipeline:.0f} s, "
        f"{taken:.0f} s of processor time, {pipeline / alone:.2f} of the encoder's own speed; "
        f"peak of the process {_peak_mb():.0f} MB, before it {before:.0f} MB"
    )


def _peak_mb() -> float:
    return peak_bytes() / 1e6


def pipeline_speed(
    slides: list[SlideEntry], encoder: PatchEncoder, out: Path, batch_size: int, workers: int
) -> tuple[float, int]:
    """Patches a second from slide file to feature file, and how many there were."""
    described = encoder.encoder
    tiling = TilingSettings(mpp=described.mpp, patch_px=described.patch_px)
    settings = ExtractionSettings.of(encoder, tiling)
    summary = extract_slides(slides, encoder, out, settings, batch_size=batch_size, workers=workers)
    return summary.patches / summary.seconds, summary.patches


def encoder_speed(encoder: PatchEncoder, n_patches: int, batch_size: int) -> float:
    """Patches a second of the encoder on tensors in memory."""
    side = encoder.encoder.input_px
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(
        0, 256, (batch_size, side, side, 3), dtype=torch.uint8, generator=generator
    )
    n_batches = -(-n_patches // batch_size)
    start = time.monotonic()
    for _ in range(n_batches):
        encoder.encode(batch)
    return n_patches / (time.monotonic() - start)


def write_slide(path: Path, side: int, seed: int) -> None:
    """A slide at 0.5 µm/px: purple tissue in the middle, white around, three levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 243, np.uint8)
    edge = side // 8
    inner = side - 2 * edge
    texture = rng.normal(0, 25, (inner // 8 + 1, inner // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)
    tissue = np.array([175, 100, 155]) + texture[:inner, :inner]
    picture[edge:-edge, edge:-edge] = np.clip(tissue, 0, 255).astype(np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for level, step in enumerate((1, 4, 16)):
            writer.write(
                np.ascontiguousarray(picture[::step, ::step]),
                tile=(256, 256),
                photometric="rgb",
                compression="zlib",
                resolution=(2e4 / step, 2e4 / step),
                resolutionunit=3,
                subfiletype=int(level > 0),
            )


def write_giant(path: Path, side: int) -> None:
    """A slide at 0.25 µm/px, tile by tile: a disc of tissue, an eighth of the side wide, on white.

    Levels are a quarter of the one before, as scanners write them. A tile is compressed once, and
    those alike share its bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 25, (TILE // 8, TILE // 8, 3)).repeat(8, 0).repeat(8, 1)
    tissue = np.clip(np.array([175, 100, 155]) + noise, 0, 255).astype(np.uint8)
    white, purple = _compressed(np.full((TILE, TILE, 3), 243, np.uint8)), _compressed(tissue)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level, step in enumerate((1, 4, 16, 64)):
            width = -(-side // step)
            writer.write(
                _tiles(width, side / step / 16, white, purple),
                shape=(width, width, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(1, 1),
                compression="jpeg",
                resolution=(4e4 / step, 4e4 / step),
                resolutionunit=3,
                subfiletype=int(level > 0),
            )


def _compressed(tile: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(tile, level=85, subsampling="444"))


def _tiles(width: int, radius: float, white: bytes, purple: bytes) -> Iterator[bytes]:
    """Tiles of a level, row by row: tissue where their centre is within the disc."""
    places = (np.arange(-(-width // TILE)) + 0.5) * TILE - width / 2
    for y in places:
        for x in places:
            yield purple if x**2 + y**2 < radius**2 else white


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="efficientnet-lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=DEFAULT_WORKERS)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slides", type=Path, help="folder of slides; default: generated ones")
    parser.add_argument("--count", type=int, default=3, help="slides to generate")
    parser.add_argument("--side", type=int, default=4096, help="their side, level-0 px")
    parser.add_argument("--giant", type=int, metavar="SIDE", help="one large slide instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
