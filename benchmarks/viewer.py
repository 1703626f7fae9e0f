"""The viewer on a slide of 100,000 x 100,000 px: first slide, tiles, memory.

The slide is made here: a pyramid whose tiles all share one JPEG, so that it takes a megabyte of
disk and is decoded like any other. The server is asked over HTTP, as a browser asks it:

    python benchmarks/viewer.py

Times are of this machine, and the server is asked one thing at a time. "Warm" tiles are new ones,
asked once the slide is open. Memory is the resident set of each process, after all of it; that of
the server has this script's own in it.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import struct
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from http.cookiejar import CookieJar
from multiprocessing import get_context
from pathlib import Path
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import h5py
import numpy as np
from PIL import Image

from histodistill.slides import SlideImage
from histodistill.viewer.cohort import Request
from histodistill.viewer.reviews import Reviews
from histodistill.viewer.security import new_token
from histodistill.viewer.server import listening, serve
from histodistill.viewer.session import Session
from histodistill.viewer.slide_tiles import SlideTiles
from histodistill.viewer.worker import Worker
from histodistill.viewer.world import World
from histodistill.workflows.new_features import NewFeatures

TILE, WIDTH, PATCH_PX = 512, 256, 672


def write_slide(path: Path, edge: int, levels: int = 6) -> None:
    """A tiled, pyramidal TIFF whose tiles all are the same JPEG, 0.25 µm/px at level 0.

    Args:
        path: The file.
        edge: Width and height of level 0, px.
        levels: Levels, each half the one before.
    """
    noise = np.random.default_rng(0).normal(0, 18, (TILE, TILE, 3))
    pink = np.clip(np.array([214, 150, 196]) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pink).save(file, "JPEG", quality=80)
    tile = file.getvalue()
    content = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    content += tile + b"\0" * (len(tile) % 2)
    link = 4  # where the offset of the next directory is written
    for level in range(levels):
        struct.pack_into("<I", content, link, len(content))
        link = _add_directory(content, edge >> level, len(tile), reduced=level > 0)
    path.write_bytes(content)


def _add_directory(content: bytearray, edge: int, n_bytes: int, *, reduced: bool) -> int:
    """Append a level's directory; the place of the link to the next one."""
    count = math.ceil(edge / TILE) ** 2
    entries = [
        (254, 4, 1, int(reduced)),
        (256, 4, 1, edge),
        (257, 4, 1, edge),
        (258, 3, 3, None),
        (259, 3, 1, 7),  # JPEG
        (262, 3, 1, 6),  # YCbCr
        (277, 3, 1, 3),
        (282, 5, 1, None),
        (283, 5, 1, None),
        (296, 3, 1, 3),  # pixels per cm
        (322, 4, 1, TILE),
        (323, 4, 1, TILE),
        (324, 4, count, None),
        (325, 4, count, None),
    ]
    longer = {
        258: struct.pack("<3H", 8, 8, 8),
        282: struct.pack("<2I", 40_000, 1),
        283: struct.pack("<2I", 40_000, 1),
        324: struct.pack("<I", 8) * count,
        325: struct.pack("<I", n_bytes) * count,
    }
    after = len(content) + 2 + 12 * len(entries) + 4
    content += struct.pack("<H", len(entries))
    behind = b""
    for tag, kind, number, value in entries:
        if value is None:
            value, behind = _placed(longer[tag], after + len(behind), behind)
        content += struct.pack("<HHII", tag, kind, number, value)
    link = len(content)
    content += struct.pack("<I", 0) + behind
    return link


def _placed(values: bytes, offset: int, behind: bytes) -> tuple[int, bytes]:
    """The value of an entry: itself where four bytes hold it, else where it lies."""
    if len(values) <= 4:
        return int.from_bytes(values.ljust(4, b"\0"), "little"), behind
    return offset, behind + values + b"\0" * (len(values) % 2)


def write_features(path: Path, edge: int) -> int:
    """Random features of patches side by side over the whole slide; how many there are."""
    steps = np.arange(0, edge - PATCH_PX, PATCH_PX)
    xs, ys = np.meshgrid(steps, steps)
    coords = np.stack([xs.ravel(), ys.ravel()], axis=1)
    values = np.random.default_rng(0).normal(size=(len(coords), WIDTH)).astype(np.float16)
    with h5py.File(path, "w") as file:
        file["features"] = values
        file["coords"] = coords
        about = {"patch_size": 224, "target_magnification": 20, "patch_size_level0": PATCH_PX}
        file["coords"].attrs.update(about)
    return len(coords)


def write_model(folder: Path) -> None:
    """A student with random weights."""
    import torch

    from histodistill.deploy import Bundle, BundleInfo, FeatureOrigin
    from histodistill.features import FeatureScaler
    from histodistill.inference import Member
    from histodistill.model import Networks, NetworkSettings
    from histodistill.preparation import Transforms

    torch.manual_seed(0)
    networks = Networks(WIDTH, {}, 2, NetworkSettings(networks=("student",)))
    scaler = FeatureScaler(mean=torch.zeros(WIDTH), scale=torch.ones(WIDTH))
    member = Member(networks.eval(), Transforms(scaler, {}), {"student": 0.5})
    info = BundleInfo(
        target="ER",
        classes=("negative", "positive"),
        positive="positive",
        features=FeatureOrigin(width=WIDTH),
        blocks={},
        recipe="abmil",
        provenance={},
    )
    Bundle(info, (member,)).save(folder)


def opened(folder: Path) -> tuple[Session, Worker]:
    """The viewer of the one patient."""
    images = {"A": SlideImage(folder / "slides" / "A.tif")}
    features = NewFeatures(folder / "features", patient_pattern="^(.)")
    worker = Worker(Request(folder / "model", images, features))
    reviews = Reviews(folder / "reviews.csv")
    return Session(worker.open(), worker, SlideTiles(images), reviews, "nobody", "key"), worker


def timed(client: OpenerDirector, address: str) -> float:
    """Milliseconds until an address is answered whole."""
    begun = time.perf_counter()
    with client.open(address) as answer:
        answer.read()
    return (time.perf_counter() - begun) * 1000


def resident_mb(process: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


def told(name: str, times: list[float]) -> None:
    """Print the distribution of some times."""
    middle, high = np.quantile(times, [0.5, 0.95])
    print(f"{name:34s} median {middle:7.1f} ms   p95 {high:7.1f} ms   ({len(times)})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=100_000, help="Edge of the slide, px.")
    parser.add_argument("--tiles", type=int, default=200, help="Tiles of each kind.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("slides", "features"):
            (folder / part).mkdir()
        write_slide(folder / "slides" / "A.tif", asked.edge)
        n_patches = write_features(folder / "features" / "A.h5", asked.edge)
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # the server needs no PyTorch
            apart.submit(write_model, folder / "model").result()
        size = (folder / "slides" / "A.tif").stat().st_size / 1e6
        print(f"{asked.edge} x {asked.edge} px, {n_patches} patches, a file of {size:.1f} MB")
        session, worker = opened(folder)
        token, port = new_token(), listening("127.0.0.1", 0)
        threading.Thread(target=serve, args=(session, token, port), daemon=True).start()
        measure(f"http://127.0.0.1:{port.getsockname()[1]}", token, asked.edge, asked.tiles)
        worker.close()


def measure(host: str, token: str, edge: int, n_tiles: int) -> None:
    """Ask the server as a browser does."""
    client = build_opener(HTTPCookieProcessor(CookieJar()))
    client.open(f"{host}/?token={token}").read()
    own = f"{host}/key/0/0"
    begun = time.perf_counter()
    client.open(f"{host}/patient?id=A").read()
    timed(client, f"{own}/slide/0/0/0")
    print(f"first slide: page and first tile   {(time.perf_counter() - begun) * 1000:7.1f} ms")
    layer = "palette=RdBu_r&threshold=0"
    print(f"first map (computed)               {timed(client, f'{own}/patch/0'):7.1f} ms")
    world, rng = World(edge, edge), np.random.default_rng(0)
    for kind in ("slide", "layer/0"):
        times = []
        for _ in range(n_tiles):
            zoom = int(rng.integers(1, world.max_zoom + 1))
            last = math.ceil(edge / (256 * world.downsample(zoom)))
            column, row = rng.integers(0, last, 2)
            query = f"?{layer}" if kind != "slide" else ""
            times.append(timed(client, f"{own}/{kind}/{zoom}/{column}/{row}{query}"))
        told(f"warm tiles, {kind.split('/')[0]}, all zooms", times)
    again = [timed(client, f"{own}/slide/0/0/0") for _ in range(n_tiles)]
    told("the same tile again", again)
    print(f"memory of the server {resident_mb(os.getpid()):.0f} MB")
    for child in children(os.getpid()):
        print(f"memory of a process it started {resident_mb(child):.0f} MB")


if __name__ == "__main__":
    main()
