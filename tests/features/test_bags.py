"""Bags of patients."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.errors import InputError
from histodistill.features import BagStore, formats, open_bags
from tests.features import writers

SIZES = {"P1": (60, 3, 40), "P2": (5,), "P3": (80,)}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, list[Path]]:
    """Three patients; P1's slides are of three layouts."""
    write = [
        lambda path, x: writers.trident(path.with_suffix(".h5"), x),
        lambda path, x: writers.tensor(path.with_suffix(".pt"), torch.from_numpy(x)),
        lambda path, x: writers.array(path.with_suffix(".npy"), x),
    ]
    return {
        patient: [
            write[i % 3](tmp_path / f"{patient}-{i}", _slide(patient, i, n))
            for i, n in enumerate(sizes)
        ]
        for patient, sizes in SIZES.items()
    }


def _slide(patient: str, i: int, n: int) -> np.ndarray:
    return writers.features(n, 5, "float16", seed=10 * int(patient[1]) + i)


def _bag(patient: str) -> torch.Tensor:
    """A patient's bag, without the store."""
    slides = [_slide(patient, i, n) for i, n in enumerate(SIZES[patient])]
    return torch.from_numpy(np.concatenate(slides))


@pytest.fixture(params=[2**20, 0], ids=["in memory", "on disk"])
def store(request: pytest.FixtureRequest, paths: dict[str, list[Path]]) -> BagStore:
    return open_bags(paths, memory_limit_bytes=request.param)


def test_bags_are_the_slides_in_order(store: BagStore):
    assert store.patients == ["P1", "P2", "P3"]
    assert (store.width, store.dtype, store.encoder) == (5, torch.float16, "uni_v1")
    assert store.n_bytes == (60 + 3 + 40 + 5 + 80) * 5 * 2
    for patient in store.patients:
        assert store.n_patches(patient) == len(_bag(patient))
        assert torch.equal(store.bag(patient), _bag(patient))
        assert torch.equal(store.bag(patient), _bag(patient))
    assert [slide.n_patches for slide in store.slides("P1")] == [60, 3, 40]


def test_memory_limit_decides_where_bags_are(paths: dict[str, list[Path]]):
    size = open_bags(paths).n_bytes
    assert open_bags(paths, memory_limit_bytes=size).in_memory
    assert not open_bags(paths, memory_limit_bytes=size - 1).in_memory


def test_kept_bags_need_the_files_once(paths: dict[str, list[Path]]):
    kept, read = open_bags(paths), open_bags(paths, memory_limit_bytes=0)
    kept.bag("P2")
    read.bag("P2")
    paths["P2"][0].unlink()
    assert torch.equal(kept.bag("P2"), _bag("P2"))
    with pytest.raises(InputError, match=r"P2-0\.h5 does not exist"):
        read.bag("P2")


@pytest.mark.parametrize("size", [1, 7, 50, 102])
def test_samples_are_ordered_rows_without_replacement(store: BagStore, size: int):
    whole = _bag("P1").tolist()
    drawn = store.sample("P1", size, torch.Generator().manual_seed(size)).tolist()
    where = [whole.index(row) for row in drawn]
    assert len(where) == size
    assert where == sorted(set(where))


@pytest.mark.parametrize("size", [103, 1000])
def test_smaller_bags_come_whole(store: BagStore, size: int):
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(store.sample("P1", size, generator), _bag("P1"))


def test_samples_follow_the_seed_alone(paths: dict[str, list[Path]]):
    kept, read = open_bags(paths), open_bags(paths, memory_limit_bytes=0)
    draws = [
        torch.cat([store.sample("P1", 20, generator) for _ in range(3)])
        for store in (kept, read)
        for generator in (torch.Generator().manual_seed(3), torch.Generator().manual_seed(3))
    ]
    assert all(torch.equal(draw, draws[0]) for draw in draws)
    other = kept.sample("P1", 20, torch.Generator().manual_seed(4))
    assert not torch.equal(other, draws[0][:20])


def test_samples_cover_every_row_alike(store: BagStore):
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(103)
    whole = _bag("P1").tolist()
    for _ in range(200):
        for row in store.sample("P1", 20, generator).tolist():
            counts[whole.index(row)] += 1
    # 200 draws of 20 of 103: 38.8 ± 5.6 times each.
    assert counts.min() > 38.8 - 5 * 5.6
    assert counts.max() < 38.8 + 5 * 5.6


def test_dtype_is_converted(paths: dict[str, list[Path]]):
    store = open_bags(paths, dtype="float32")
    assert torch.equal(store.bag("P1"), _bag("P1").float())
    assert store.n_bytes == 188 * 5 * 4


def test_mixed_dtypes_get_one_that_holds_all(tmp_path: Path):
    half = writers.array(tmp_path / "half.npy", writers.features(dtype="float16"))
    brain = writers.tensor(tmp_path / "brain.pt", torch.ones(7, 5, dtype=torch.bfloat16))
    store = open_bags({"P1": [half], "P2": [brain]})
    assert store.bag("P1").dtype == store.bag("P2").dtype == store.dtype == torch.float32


def test_narrower_dtype_that_overflows(tmp_path: Path):
    path = writers.array(tmp_path / "S1.npy", np.full((4, 3), 1e5, np.float32))
    store = open_bags({"P1": [path]}, dtype="float16")
    with pytest.raises(InputError, match=r"S1\.npy holds NaN or infinite values in 4 of 4 patches"):
        store.bag("P1")


def test_pickled_stores_leave_their_bags_behind(store: BagStore):
    small = len(pickle.dumps(store))
    store.bag("P3")
    restored = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) == small
    assert torch.equal(restored.bag("P3"), _bag("P3"))


def test_progress_is_told(paths: dict[str, list[Path]]):
    told: list[tuple[int, int]] = []
    open_bags(paths, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_all_problems_of_all_files_at_once(tmp_path: Path, paths: dict[str, list[Path]]):
    paths["P1"][1].write_bytes(b"")
    wide = writers.array(tmp_path / "wide.npy", writers.features(width=6))
    gone = tmp_path / "gone.h5"
    with pytest.raises(InputError) as caught:
        open_bags({**paths, "P4": [gone, wide], "P5": paths["P2"]})
    assert len(caught.value.problems) == 4
    for problem, expected in zip(
        caught.value.problems,
        [
            r"P2-0.h5 is listed 2 times (patients: P2, P5); each slide belongs to one patient",
            r"P1-1.pt is truncated or damaged and cannot be read (it is empty, 0 bytes)",
            r"gone.h5 does not exist",
            r"1 feature file has width 6 while 4 have 5",
        ],
        strict=True,
    ):
        assert expected in problem


def test_patients_without_slides(paths: dict[str, list[Path]]):
    with pytest.raises(InputError, match=r"No slides for: P8, P9\."):
        open_bags({**paths, "P8": [], "P9": []})
    with pytest.raises(InputError, match=r"No slides for: any patient\."):
        open_bags({})


def test_slides_are_checked_once(
    paths: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checked, check = [], formats.check_slides

    def noted(slides):
        checked.append(len(slides))
        check(slides)

    monkeypatch.setattr(formats, "check_slides", noted)
    open_bags(paths)
    open_bags(paths, cache=tmp_path / "packed")
    assert checked == [sum(map(len, paths.values()))] * 2
