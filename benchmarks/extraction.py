"""What share of the encoder's own speed the extraction pipeline reaches.

Each round extracts slides (your own, or generated pyramids) from file to feature file, then
encodes as many patches that lie in memory, in the same batches. The rounds alternate, so that a
busy machine slows both; the ratio of each round is told, with its spread.

    python benchmarks/extraction.py --encoder efficientnet-lite0 --rounds 5
    python benchmarks/extraction.py --encoder uni --weights uni.bin --device cuda --slides FOLDER
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from histodistill.encoders import PatchEncoder, load_encoder
from histodistill.extraction import ExtractionSettings, SlideEntry, extract_slides, list_slides
from histodistill.extraction.run import CPU_BATCH, CUDA_BATCH, DEFAULT_WORKERS
from histodistill.tiling import TilingSettings


def main() -> None:
    """Print patches a second of both, round by round, and the ratio."""
    options = _options()
    torch.set_num_threads(options.threads)
    encoder = load_encoder(options.encoder, weights=options.weights, device=options.device)
    batch_size = options.batch_size or (CUDA_BATCH if "cuda" in options.device else CPU_BATCH)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
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
    return parser.parse_args()


if __name__ == "__main__":
    main()
