"""Packed bags: what they hold, and when they are packed again."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from histodistill.errors import InputError
from histodistill.features import BagStore, formats, open_bags, prefetched
from histodistill.features.packing import cache as caching
from histodistill.features.packing import user_cache, writing
from histodistill.features.values import BagDtype
from tests.features import writers

Paths = dict[str, list[Path]]

LAYOUTS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "trident": lambda path, x: writers.trident(path.with_suffix(".h5"), x),
    "clam": lambda path, x: writers.clam(path.with_suffix(".h5"), x),
    "stamp": lambda path, x: writers.stamp_2_4(path.with_suffix(".h5"), x),
    "slide2vec": lambda path, x: writers.slide2vec(path.parent, path.name, torch.from_numpy(x)),
    "pt": lambda path, x: writers.tensor(path.with_suffix(".pt"), torch.from_numpy(x)),
    "old pt": lambda path, x: writers.tensor(path.with_suffix(".pt"), torch.from_numpy(x), True),
    "bfloat16 pt": lambda path, x: writers.tensor(
        path.with_suffix(".pt"), torch.from_numpy(x).bfloat16()
    ),
    "npy": lambda path, x: writers.array(path.with_suffix(".npy"), x),
    "float64 npy": lambda path, x: writers.array(path.with_suffix(".npy"), x.astype(np.float64)),
    "batched npy": lambda path, x: writers.array(path.with_suffix(".npy"), x[None]),
}
SIZES = {"P1": (60, 3, 40), "P2": (5,), "P3": (80,)}


def cohort(folder: Path, write: Callable[[Path, np.ndarray], Path] = LAYOUTS["pt"]) -> Paths:
    """Three patients; the first has three slides."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        patient: [
            write(folder / f"{patient}-{i}", writers.features(n, seed=10 * int(patient[1]) + i))
            for i, n in enumerate(sizes)
        ]
        for patient, sizes in SIZES.items()
    }


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return cohort(tmp_path / "features")


class Opened:
    """A store of packed bags, and how many slides were packed to open it."""

    def __init__(self, paths: Paths, cache: Path, **options) -> None:
        told: list[tuple[int, int]] = []
        self.store = open_bags(
            paths, cache=cache, progress=lambda *state: told.append(state), **options
        )
        self.n_packed = len(told)
        self.notes = self.store.notes
        if told:
            assert told == [(i + 1, len(told)) for i in range(len(told))]
        assert self.store.packed is not None
        self.path = self.store.packed.path
        equal(self.store, open_bags(paths, dtype=self.store.dtype_name))


def equal(ours: BagStore, theirs: BagStore) -> None:
    """Both stores give the same bags and say the same of them."""
    assert ours.patients == theirs.patients
    assert (ours.width, ours.dtype, ours.n_bytes) == (theirs.width, theirs.dtype, theirs.n_bytes)
    for patient in ours.patients:
        assert ours.slides(patient) == theirs.slides(patient)
        assert torch.equal(ours.bag(patient), theirs.bag(patient))


def rewrite(path: Path, content: bytes, same_date: bool = False) -> None:
    """Write other content with another date, or with the old one."""
    before = path.stat()
    path.write_bytes(content)
    shift = 0 if same_date else 10**9
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + shift))


def flipped(path: Path, where: int = 100) -> bytes:
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    return bytes(content)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_bags_of_its_files(tmp_path: Path, layout: str):
    paths = cohort(tmp_path / "run" / "features", LAYOUTS[layout])
    first = Opened(paths, tmp_path / "cache")
    again = Opened(paths, tmp_path / "cache")
    assert (first.n_packed, again.n_packed) == (5, 0)
    assert first.store.bag("P1").is_contiguous()


def test_rows_lie_end_to_end_in_one_file(tmp_path: Path, paths: Paths):
    opened = Opened(paths, tmp_path / "cache")
    values = np.fromfile(opened.path, dtype="<f4").reshape(-1, 5)
    files = open_bags(paths)
    assert np.array_equal(values, torch.cat([files.bag(p) for p in files.patients]).numpy())
    start = opened.store.bag("P1").data_ptr()
    assert opened.store.bag("P3").data_ptr() == start + (103 + 5) * 5 * 4


def test_a_second_start_reads_no_feature_file(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    Opened(paths, tmp_path / "cache")

    def read(*_: object) -> None:
        raise AssertionError("a feature file was read")

    monkeypatch.setattr(formats, "inspect", read)
    monkeypatch.setattr(formats, "read_values", read)
    store = open_bags(paths, cache=tmp_path / "cache")
    assert store.bag("P1").shape == (103, 5)
    assert store.slides("P2")[0].path == paths["P2"][0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_chosen_dtype(tmp_path: Path, paths: Paths, dtype: BagDtype):
    opened = Opened(paths, tmp_path / "cache", dtype=dtype)
    assert opened.store.dtype == getattr(torch, dtype)
    assert opened.path.stat().st_size == 188 * 5 * opened.store.dtype.itemsize
    assert Opened(paths, tmp_path / "cache", dtype=dtype).n_packed == 0


def test_mixed_dtypes_get_one_that_holds_all(tmp_path: Path):
    half = writers.array(tmp_path / "half.npy", writers.features(dtype="float16"))
    brain = writers.tensor(tmp_path / "brain.pt", torch.ones(7, 5, dtype=torch.bfloat16))
    opened = Opened({"P1": [half], "P2": [brain]}, tmp_path / "cache")
    assert opened.store.dtype == torch.float32


@pytest.mark.parametrize("size", [1, 7, 102, 103, 1000])
def test_samples_are_the_same_rows_as_without_a_pack(tmp_path: Path, paths: Paths, size: int):
    stores = (
        open_bags(paths, cache=tmp_path / "cache"),
        open_bags(paths),
        open_bags(paths, memory_limit_bytes=0),
    )
    generators = [torch.Generator().manual_seed(size) for _ in stores]
    for _ in range(3):
        packed, kept, read = (
            store.sample("P1", size, generator)
            for store, generator in zip(stores, generators, strict=True)
        )
        assert torch.equal(packed, kept)
        assert torch.equal(packed, read)


def test_another_date_alone_packs_nothing(tmp_path: Path, paths: Paths):
    first = Opened(paths, tmp_path / "cache")
    source = paths["P1"][1]
    rewrite(source, source.read_bytes())
    rewrite(first.path, first.path.read_bytes())
    again = Opened(paths, tmp_path / "cache")
    assert (again.n_packed, again.notes) == (0, ())
    # The new dates are recorded: they need no lock any more.
    manifest = json.loads(again.path.with_suffix(".json").read_text())
    assert manifest["data"]["mtime_ns"] == first.path.stat().st_mtime_ns
    assert Opened(paths, tmp_path / "cache").n_packed == 0


def test_changed_content_of_the_same_size(tmp_path: Path, paths: Paths):
    source = paths["P2"][0]
    writers.tensor(source, torch.ones(5, 5))
    Opened(paths, tmp_path / "cache")
    size = source.stat().st_size
    writers.tensor(source, torch.zeros(5, 5))
    rewrite(source, source.read_bytes())
    assert source.stat().st_size == size
    again = Opened(paths, tmp_path / "cache")
    assert again.n_packed == 5
    assert again.notes == (f"the bags were packed again, because {source} has another content",)
    assert not again.store.bag("P2").any()


def test_changed_size(tmp_path: Path, paths: Paths):
    Opened(paths, tmp_path / "cache")
    writers.tensor(paths["P2"][0], torch.ones(9, 5))
    again = Opened(paths, tmp_path / "cache")
    assert again.n_packed == 5
    assert "P2-0.pt has" in again.notes[0]
    assert again.store.n_patches("P2") == 9


def test_a_change_that_keeps_the_date_is_found_on_request(tmp_path: Path, paths: Paths):
    Opened(paths, tmp_path / "cache")
    source = paths["P2"][0]
    before = source.stat()
    values = torch.from_numpy(writers.features(5, seed=20)) + 1
    writers.tensor(source, values)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.stat().st_size == before.st_size
    store = open_bags(paths, cache=tmp_path / "cache")
    assert not torch.equal(store.bag("P2"), values)
    again = Opened(paths, tmp_path / "cache", check=True)
    assert again.n_packed == 5
    assert torch.equal(again.store.bag("P2"), values)
    assert Opened(paths, tmp_path / "cache", check=True).n_packed == 0


def test_slides_and_patients_that_come_and_go(tmp_path: Path, paths: Paths):
    folder = tmp_path / "cache"
    Opened(paths, folder)
    assert Opened({**paths, "P1": paths["P1"][:2]}, folder).n_packed == 4
    assert Opened({p: paths[p] for p in ("P1", "P2")}, folder).n_packed == 4
    more = writers.array(tmp_path / "more.npy", writers.features())
    assert Opened({**paths, "P4": [more]}, folder).n_packed == 6
    assert Opened({**paths, "P1": paths["P1"][::-1]}, folder).n_packed == 5
    assert Opened({"P9": paths["P1"], "P2": paths["P2"]}, folder).n_packed == 4
    assert Opened(paths, folder).n_packed == 0


def test_what_lies_beside_a_feature_file_counts(tmp_path: Path):
    paths = cohort(tmp_path / "run" / "features", LAYOUTS["slide2vec"])
    folder = tmp_path / "cache"
    assert Opened(paths, folder).store.encoder == "virchow2"
    for path in (path for own in paths.values() for path in own):
        sidecar = path.with_name(f"{path.stem}.meta.json")
        sidecar.write_text(sidecar.read_text().replace("virchow2", "virchow3"))
    assert Opened(paths, folder).store.encoder == "virchow3"
    for path in (path for own in paths.values() for path in own):
        path.with_name(f"{path.stem}.meta.json").unlink()
    assert Opened(paths, folder).store.encoder is None


def test_a_source_that_is_gone_is_told(tmp_path: Path, paths: Paths):
    Opened(paths, tmp_path / "cache")
    paths["P3"][0].unlink()
    with pytest.raises(InputError, match=r"P3-0\.pt does not exist; check the features folder"):
        open_bags(paths, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data.write_bytes(data.read_bytes()[:-1]), "has 3759 bytes instead of 3760"),
        (lambda data: rewrite(data, flipped(data)), "has another content"),
    ],
)
def test_a_damaged_data_file_is_packed_again(tmp_path: Path, paths: Paths, damage, reason: str):
    path = Opened(paths, tmp_path / "cache").path
    damage(path)
    again = Opened(paths, tmp_path / "cache")
    assert again.n_packed == 5
    assert again.notes == (f"the bags were packed again, because {path} {reason}",)


def test_a_flipped_byte_that_keeps_the_date_is_found_on_request(tmp_path: Path, paths: Paths):
    path = Opened(paths, tmp_path / "cache").path
    rewrite(path, flipped(path), same_date=True)
    again = Opened(paths, tmp_path / "cache", check=True)
    assert again.n_packed == 5
    assert again.notes == (f"the bags were packed again, because {path} has another content",)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"width": 5', '"width": 4'),
        lambda text: text.replace('"offset": 103', '"offset": 100'),
        lambda text: text.replace('"n_patches": 60', '"n_patches": 61'),
        lambda text: text.replace('"dtype": "float32"', '"dtype": "float16"', 1),
        lambda _: "[]",
        lambda _: "\udcff",
    ],
)
def test_a_wrong_manifest_is_not_believed(tmp_path: Path, paths: Paths, change):
    path = Opened(paths, tmp_path / "cache").path.with_suffix(".json")
    text = path.read_text()
    assert change(text) != text
    path.write_bytes(change(text).encode(errors="surrogateescape"))
    again = Opened(paths, tmp_path / "cache")
    assert again.n_packed == 5
    assert again.notes == (
        f"the bags were packed again, because {path} is damaged or of another version",
    )


def test_a_manifest_without_its_data_packs_again(tmp_path: Path, paths: Paths):
    Opened(paths, tmp_path / "cache").path.unlink()
    assert Opened(paths, tmp_path / "cache").n_packed == 5


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, paths: Paths):
    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_bags(paths, cache=tmp_path / "cache", progress=interrupt)
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}
    assert Opened(paths, tmp_path / "cache").n_packed == 5


def test_a_build_interrupted_before_its_manifest(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_manifest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_bags(paths, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.bags"))
    assert Opened(paths, tmp_path / "cache").n_packed == 5


FORK = multiprocessing.get_context("fork")


def test_a_killed_build_is_cleared_away(tmp_path: Path, paths: Paths):
    def kill(done: int, _: int) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    builder = FORK.Process(
        target=open_bags, args=(paths,), kwargs={"cache": tmp_path / "cache", "progress": kill}
    )
    builder.start()
    builder.join()
    assert builder.exitcode == -signal.SIGKILL
    assert list((tmp_path / "cache").glob(".*.bags"))
    assert Opened(paths, tmp_path / "cache").n_packed == 5
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_processes_that_start_at_once_pack_once(tmp_path: Path, paths: Paths):
    start = FORK.Barrier(4)
    packed = FORK.SimpleQueue()

    def run() -> None:
        start.wait()
        packed.put(Opened(paths, tmp_path / "cache").n_packed)

    processes = [FORK.Process(target=run) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted(packed.get() for _ in processes) == [0, 0, 0, 5]


def test_the_same_content_elsewhere_is_shared(tmp_path: Path, paths: Paths):
    first = Opened(paths, tmp_path / "cache")
    shutil.copytree(tmp_path / "features", tmp_path / "copy")
    copy = {p: [tmp_path / "copy" / path.name for path in own] for p, own in paths.items()}
    second = Opened(copy, tmp_path / "cache")
    assert (second.n_packed, second.notes) == (0, ())
    assert second.path != first.path
    assert second.path.samefile(first.path)
    # From here on, each follows its own files.
    writers.tensor(copy["P2"][0], torch.ones(5, 5))
    assert Opened(copy, tmp_path / "cache").n_packed == 5
    assert Opened(paths, tmp_path / "cache").n_packed == 0


def test_other_content_under_the_same_names_is_not_shared(tmp_path: Path, paths: Paths):
    Opened(paths, tmp_path / "cache")
    other = cohort(tmp_path / "other")
    source = other["P3"][0]
    writers.tensor(source, torch.from_numpy(writers.features(80, seed=99)))
    assert source.stat().st_size == paths["P3"][0].stat().st_size
    assert Opened(other, tmp_path / "cache").n_packed == 5


def test_a_file_system_without_hard_links_packs(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    Opened(paths, tmp_path / "cache")
    other = cohort(tmp_path / "other")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert Opened(other, tmp_path / "cache").n_packed == 5


def test_bad_values_are_refused_with_every_file_named(tmp_path: Path, paths: Paths):
    for patient, value in (("P1", np.nan), ("P3", np.inf)):
        content = writers.features(30)
        content[4, 2] = value
        writers.tensor(paths[patient][0], torch.from_numpy(content))
    with pytest.raises(InputError) as refused:
        open_bags(paths, cache=tmp_path / "cache")
    first, second = refused.value.problems
    assert "P1-0.pt holds NaN or infinite values in 1 of 30 patches" in first
    assert "P3-0.pt holds NaN or infinite values in 1 of 30 patches" in second
    assert not list((tmp_path / "cache").glob("*.bags"))


def test_a_dtype_too_narrow_is_refused(tmp_path: Path):
    path = writers.array(tmp_path / "S1.npy", np.full((4, 3), 1e5, np.float32))
    with pytest.raises(InputError, match=r"S1\.npy holds NaN or infinite values in 4 of 4 patches"):
        open_bags({"P1": [path]}, dtype="float16", cache=tmp_path / "cache")


def test_a_file_that_changes_while_it_is_packed(tmp_path: Path, paths: Paths, monkeypatch):
    read = formats.read_values

    def touched(slide, **options):
        rewrite(slide.path, slide.path.read_bytes())
        return read(slide, **options)

    monkeypatch.setattr(formats, "read_values", touched)
    with pytest.raises(InputError, match=r"P1-0\.pt has changed while it was packed; start again"):
        open_bags(paths, cache=tmp_path / "cache")


def test_all_problems_of_the_headers_at_once(tmp_path: Path, paths: Paths):
    paths["P1"][0].write_bytes(b"")
    with pytest.raises(InputError) as refused:
        open_bags({**paths, "P4": [], "P5": paths["P2"]}, cache=tmp_path / "cache")
    assert len(refused.value.problems) == 3


def test_a_full_disk_falls_back_to_the_files(tmp_path: Path, paths: Paths, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    store = open_bags(paths, cache=tmp_path / "cache")
    assert store.packed is None
    assert store.notes == (
        f"{tmp_path}/cache: bags cannot be packed there (0.3 GB are needed, 0.0 GB are free), so "
        "the feature files are read, which is slower; set `features.cache` to a folder with room, "
        "or to null",
    )
    equal(store, open_bags(paths))


def test_a_disk_that_fills_while_packing(tmp_path: Path, paths: Paths, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing._Writer, "_append", full)
    store = open_bags(paths, cache=tmp_path / "cache")
    assert store.packed is None
    assert "(No space left on device)" in store.notes[0]
    assert not list((tmp_path / "cache").glob("*.bags"))
    equal(store, open_bags(paths))


def test_a_read_only_cache_serves_what_it_holds(tmp_path: Path, paths: Paths, monkeypatch):
    Opened(paths, tmp_path / "cache")

    def read_only(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(caching, "_locked", read_only)
    assert Opened(paths, tmp_path / "cache").n_packed == 0
    writers.tensor(paths["P2"][0], torch.ones(9, 5))
    store = open_bags(paths, cache=tmp_path / "cache")
    assert store.packed is None
    assert "(Read-only file system)" in store.notes[0]
    assert store.n_patches("P2") == 9


def test_pickled_stores_take_the_path_along(tmp_path: Path, paths: Paths):
    store = Opened(paths, tmp_path / "cache").store
    content = pickle.dumps(store)
    assert store.bag("P3").numpy().tobytes()[:200] not in content
    equal(pickle.loads(content), store)


def test_a_worker_refuses_bags_that_were_packed_again(tmp_path: Path, paths: Paths):
    opened = Opened(paths, tmp_path / "cache")
    content = pickle.dumps(opened.store)
    rewrite(opened.path, flipped(opened.path))
    with pytest.raises(InputError, match=r"\.bags has changed since it was opened"):
        pickle.loads(content).bag("P1")
    opened.path.unlink()
    with pytest.raises(InputError, match=r"\.bags cannot be mapped into memory \(No such file"):
        pickle.loads(content).bag("P1")


def test_a_store_keeps_its_bags_when_they_are_packed_again(tmp_path: Path, paths: Paths):
    store = Opened(paths, tmp_path / "cache").store
    before = store.bag("P2").clone()
    writers.tensor(paths["P2"][0], torch.ones(5, 5))
    Opened(paths, tmp_path / "cache")
    assert torch.equal(store.bag("P2"), before)


def test_a_bag_changed_in_place_leaves_the_file_alone(tmp_path: Path, paths: Paths):
    opened = Opened(paths, tmp_path / "cache")
    opened.store.bag("P1").zero_()
    Opened(paths, tmp_path / "cache", check=True)
    assert open_bags(paths, cache=tmp_path / "cache").bag("P1").any()


@pytest.mark.parametrize(("free", "moves"), [(2 * 188 * 20, True), (2 * 188 * 20 - 1, False)])
def test_bags_move_to_a_device_that_holds_them(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch, free: int, moves: bool
):
    # The meta device stands in for a GPU: tensors there have a shape and no values.
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
    to = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda self, where: to(self, "meta" if str(where) == "cuda" else where),
    )
    store = Opened(paths, tmp_path / "cache").store
    moved = store.to(torch.device("cuda"))
    assert (moved is not store) == moves
    assert moved.bag("P1").device.type == ("meta" if moves else "cpu")
    sample = moved.sample("P1", 20, torch.Generator())
    assert (sample.shape, sample.device) == ((20, 5), moved.bag("P1").device)
    assert store.bag("P1").device.type == "cpu"
    equal(pickle.loads(pickle.dumps(moved)), store)


def test_bags_stay_where_they_are_without_a_gpu_or_a_pack(tmp_path: Path, paths: Paths):
    store = Opened(paths, tmp_path / "cache").store
    assert store.to(torch.device("cpu")) is store
    files = open_bags(paths)
    assert files.to(torch.device("cuda")) is files


def test_the_user_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere/histodistill/packed")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_cache() == Path("/home/someone/.cache/histodistill/packed")


@contextmanager
def memory_growth() -> Iterator[list[int]]:
    """Bytes of the process's own memory beyond today's: the largest seen, in a list of one."""

    def own() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    def watch() -> None:
        while not ended.wait(0.0005):
            growth[0] = max(growth[0], own() - before)

    before, growth, ended = own(), [0], threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        ended.set()
        watcher.join()


SLIDE_BYTES, N_SLIDES = 4 * 2**20, 48


def growths(folder: Path) -> tuple[int, int, int]:
    """Memory that packing a cohort takes, reading it in batches, and keeping it."""
    paths = {
        f"P{i}": [writers.array(folder / f"P{i}.npy", np.full((2048, 1024), i, np.float16))]
        for i in range(N_SLIDES)
    }
    with memory_growth() as packing:
        store = open_bags(paths, cache=folder / "cache", memory_limit_bytes=SLIDE_BYTES)
    pairs = [store.patients[i : i + 2] for i in range(0, N_SLIDES, 2)]
    with memory_growth() as streaming:
        for batch in prefetched(torch.cat([store.bag(p) for p in pair]) for pair in pairs):
            assert batch.shape == (4096, 1024)
    kept = open_bags(paths)
    with memory_growth() as keeping:
        for patient in kept.patients:
            kept.bag(patient)
    return packing[0], streaming[0], keeping[0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_bounded_by_the_batch(tmp_path: Path):
    # In a process of its own: one that has run other tests has freed memory to take from.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as own_process:
        packing, streaming, keeping = own_process.submit(growths, tmp_path).result()
    assert packing < 8 * SLIDE_BYTES
    # Three batches, and what the allocator does not give back at once.
    assert streaming < N_SLIDES // 2 * SLIDE_BYTES
    # The measure sees what it should: a cohort that is kept.
    assert keeping > 0.9 * N_SLIDES * SLIDE_BYTES


@pytest.mark.shared
def test_real_cohort(tcga: Path, tmp_path: Path):
    table = pd.read_csv(tcga / "slides.csv").groupby("PATIENT")["FILENAME"]
    every = {
        str(patient): [tcga / "features" / Path(name).with_suffix(".h5").name for name in names]
        for patient, names in table
    }
    several = [patient for patient, own in every.items() if len(own) > 1]
    paths = {patient: every[patient] for patient in [*several[:10], *list(every)[::30]]}
    n_slides = sum(map(len, paths.values()))
    assert Opened(paths, tmp_path).n_packed == n_slides
    assert Opened(paths, tmp_path).n_packed == 0


def test_a_file_cut_while_it_is_mapped_is_noticed(paths, tmp_path):
    opened = Opened(paths, tmp_path / "cache")
    packed = opened.store.packed
    assert packed is not None
    packed.bag("P1")
    with opened.path.open("r+b") as stream:
        stream.truncate(opened.path.stat().st_size - 1)
    for read in (lambda: packed.bag("P1"), lambda: packed.to(torch.device("cpu"))):
        with pytest.raises(InputError, match=r"has been cut to .* while it was read; remove it"):
            read()
