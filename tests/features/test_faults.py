"""Files that must be refused, and what the messages say."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histodistill.errors import InputError
from histodistill.features import check_slides, inspect, read_coords, read_patches
from histodistill.features.values import require_finite
from tests.features import writers

WRITERS: dict[str, Callable[[Path], Path]] = {
    "trident": lambda folder: writers.trident(folder / "S1.h5", writers.features(50)),
    "stamp": lambda folder: writers.stamp_2_4(folder / "S1.h5", writers.features(50)),
    "pt": lambda folder: writers.tensor(folder / "S1.pt", torch.ones(50, 5)),
    "old pt": lambda folder: writers.tensor(folder / "S1.pt", torch.ones(50, 5), legacy=True),
    "npy": lambda folder: writers.array(folder / "S1.npy", writers.features(50)),
    "npz": lambda folder: _npz(folder / "S1.npz", features=writers.features(50)),
}


def _npz(path: Path, **stored: np.ndarray) -> Path:
    np.savez_compressed(path, **stored)  # type: ignore[arg-type]
    return path


def _h5(path: Path, **stored: np.ndarray) -> Path:
    with h5py.File(path, "w") as h5:
        for name, values in stored.items():
            h5[name] = values
    return path


def _refused(path: Path, message: str) -> None:
    """Opening and reading the file is refused, in a message that names it and matches."""
    with pytest.raises(InputError, match=message) as caught:
        read_patches(inspect(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("kept", [9, 0.1, 0.3, 0.5, 0.7, 0.9, -1])
def test_truncated(tmp_path: Path, layout: str, kept: float):
    path = WRITERS[layout](tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if isinstance(kept, float) else kept])
    _refused(path, r"truncated or damaged and cannot be read \(.+\)\. Copy or extract it again")


@pytest.mark.parametrize("layout", WRITERS)
@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.data())
def test_damaged_bytes_never_give_another_error(
    tmp_path_factory: pytest.TempPathFactory, layout: str, data: st.DataObject
):
    path = WRITERS[layout](tmp_path_factory.mktemp("damaged"))
    content = bytearray(path.read_bytes())
    # The HDF5 library itself can loop for ever on a damaged heap of texts: spare it.
    heap = content.find(b"GCOL") if path.suffix == ".h5" else -1
    spared = range(heap, heap + 4096) if heap >= 0 else range(0)
    for _ in range(3):
        where = data.draw(st.integers(0, len(content) - 1).filter(lambda i: i not in spared))
        content[where] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        slide = inspect(path)
        read_patches(slide)
        read_coords(slide)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_zero_bytes(tmp_path: Path):
    (tmp_path / "S1.h5").touch()
    _refused(tmp_path / "S1.h5", "it is empty, 0 bytes")


def test_missing(tmp_path: Path):
    _refused(tmp_path / "S1.h5", "does not exist; check the features folder")


def test_folder(tmp_path: Path):
    _refused(tmp_path, r"cannot be opened \(Is a directory\)")


def test_another_kind_of_file(tmp_path: Path):
    path = tmp_path / "S1.csv"
    path.write_text("PATIENT,ER\n")
    known = "Known layouts: slide2vec .*TRIDENT h5 .*npy"
    _refused(path, rf"no feature file: it starts with b'PATIENT,'\. {known}")


def test_unknown_h5_says_what_is_inside(tmp_path: Path):
    path = _h5(tmp_path / "S1.h5", coords=writers.grid(), embedding=np.ones(5))
    _refused(path, r"Found inside: coords \[7, 2\], embedding \[5\]\. Known layouts: .*TRIDENT h5")


def test_h5_with_nothing_inside(tmp_path: Path):
    _refused(_h5(tmp_path / "S1.h5"), "Found inside: nothing")


def test_npz_of_coordinates(tmp_path: Path):
    writers.coords_npz(tmp_path / "S1.npz", 7)
    _refused(tmp_path / "S1.npz", "Found inside: x, y, tile_index, tissue_fractions")


def test_pt_of_a_network(tmp_path: Path):
    path = writers.tensor(tmp_path / "S1.pt", {"weight": torch.ones(2, 2), "bias": torch.ones(2)})
    _refused(path, r"Found inside: weight, bias")


def test_pt_with_two_candidates(tmp_path: Path):
    both = {"features": torch.ones(2, 2), "feats": torch.ones(2, 2)}
    _refused(writers.tensor(tmp_path / "S1.pt", both), "Found inside: features, feats")


def test_pt_of_a_list(tmp_path: Path):
    _refused(writers.tensor(tmp_path / "S1.pt", [torch.ones(2, 2)]), "Found inside: a list")


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: writers.trident(folder / "S1.h5", np.ones((0, 5), np.float32)),
        lambda folder: writers.stamp_2_4(folder / "S1.h5", np.ones((0, 5))),
        lambda folder: writers.tensor(folder / "S1.pt", torch.ones(0, 5)),
        lambda folder: writers.array(folder / "S1.npy", np.ones((0, 5))),
        lambda folder: _npz(folder / "S1.npz", features=np.ones((0, 5))),
    ],
)
def test_empty_bag(tmp_path: Path, write: Callable[[Path], Path]):
    _refused(write(tmp_path), r"is an empty bag \(shape \[0, 5\]\): leave the slide out")


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, values: writers.trident(folder / "S1.h5", values),
        lambda folder, values: writers.tensor(folder / "S1.pt", torch.from_numpy(values)),
        lambda folder, values: writers.array(folder / "S1.npy", values),
    ],
)
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5,), "one vector of length 5, an embedding of the whole slide or patient"),
        ((2, 7, 5), r"features of shape \[2, 7, 5\]; expected \[patches, features\]"),
        ((1, 7, 5, 2), r"features of shape \[1, 7, 5, 2\]"),
    ],
)
def test_wrong_dimensions(tmp_path: Path, write, shape: tuple[int, ...], message: str):
    _refused(write(tmp_path, np.ones(shape, np.float32)), message)


def test_trident_slide_embedding_of_several_vectors(tmp_path: Path):
    path = _h5(tmp_path / "S1.h5", features=np.ones((2, 5)), coords=writers.grid(9))
    _refused(path, r"2 feature rows but coordinates of shape \[9, 2\]: it is no bag of patches")


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"feat_type": "slide", "encoder": "titan"}, "slide"),
        ({"feat_type": "patient", "encoder": "titan"}, "patient"),
        ({"encoder": "titan", "version": "2.0"}, "slide"),
    ],
)
def test_stamp_embeddings_are_not_bags(tmp_path: Path, attributes: dict, kind: str):
    with h5py.File(tmp_path / "S1.h5", "w") as h5:
        h5["feats"] = np.ones((1, 5))
        h5.attrs.update(attributes)
    _refused(tmp_path / "S1.h5", f"STAMP features of a whole {kind}, not of its tiles")


def test_slide2vec_embeddings_are_not_bags(tmp_path: Path):
    path = writers.slide2vec(
        tmp_path, "S1", torch.ones(7, 5), artifact_type="hierarchical_embeddings"
    )
    _refused(path, "slide2vec hierarchical_embeddings; give the tile_embeddings")


def test_slide2vec_metadata_damaged(tmp_path: Path):
    path = writers.slide2vec(tmp_path, "S1", torch.ones(7, 5))
    path.with_name("S1.meta.json").write_text('{"encoder_name": ')
    with pytest.raises(InputError, match=r"S1\.meta\.json is truncated or damaged"):
        inspect(path)


def test_slide2vec_metadata_of_another_shape(tmp_path: Path):
    path = writers.slide2vec(tmp_path, "S1", torch.ones(7, 5))
    path.with_name("S1.meta.json").write_text(json.dumps(["virchow2"]))
    assert inspect(path).encoder is None


def test_slide2vec_coordinates_of_another_run(tmp_path: Path):
    path = writers.slide2vec(tmp_path, "S1", torch.ones(7, 5))
    writers.coords_npz(tmp_path / "tiles" / "S1.coordinates.npz", 8)
    _refused(path, r"holds 7 patches, its coordinates .*S1\.coordinates\.npz are 8")


def test_slide2vec_coordinates_damaged(tmp_path: Path):
    path = writers.slide2vec(tmp_path, "S1", torch.ones(7, 5))
    coords = tmp_path / "tiles" / "S1.coordinates.npz"
    coords.write_bytes(coords.read_bytes()[:100])
    with pytest.raises(InputError, match=r"S1\.coordinates\.npz is truncated or damaged"):
        inspect(path)


def test_slide2vec_coordinates_replaced(tmp_path: Path):
    slide = inspect(writers.slide2vec(tmp_path, "S1", torch.ones(7, 5)))
    assert slide.coords_path is not None
    np.savez(slide.coords_path, features=np.ones((7, 2)))
    with pytest.raises(InputError, match="no x and y inside"):
        read_coords(slide)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: _h5(folder / "S1.h5", features=np.ones((7, 5), np.int64)),
        lambda folder: writers.tensor(folder / "S1.pt", torch.ones(7, 5, dtype=torch.int64)),
        lambda folder: writers.array(folder / "S1.npy", np.ones((7, 5), np.int64)),
    ],
)
def test_integers(tmp_path: Path, write: Callable[[Path], Path]):
    _refused(write(tmp_path), "holds int64 values, not features; expected float16, bfloat16")


def test_npy_of_objects_is_not_unpickled(tmp_path: Path):
    ran = tmp_path / "ran"
    path = writers.array(tmp_path / "S1.npy", np.array([[_RunsCode(ran)]], dtype=object))
    _refused(path, "holds object values, not features")
    archive = _npz(tmp_path / "S1.npz", features=np.array([[_RunsCode(ran)]], dtype=object))
    _refused(archive, "holds object values, not features")
    assert not ran.exists()


class _RunsCode:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_tensor_file_is_not_run(tmp_path: Path, legacy: bool):
    ran = tmp_path / "ran"
    path = writers.tensor(tmp_path / "S1.pt", {"features": _RunsCode(ran)}, legacy)
    _refused(path, r"not a plain tensor: opening it would run code .*not opened.*torch\.save\(")
    assert not ran.exists()
    torch.load(path, weights_only=False)  # the file would have run it
    assert ran.exists()


def test_bare_pickle_is_not_run(tmp_path: Path):
    path = tmp_path / "S1.pkl"
    path.write_bytes(pickle.dumps(_RunsCode(tmp_path / "ran")))
    _refused(path, r"is a Python pickle, which can run any code .* not opened\. Save the features")
    assert not (tmp_path / "ran").exists()


def test_numpy_array_in_a_tensor_file(tmp_path: Path):
    path = writers.tensor(tmp_path / "S1.pt", writers.features())
    _refused(path, r"\(numpy\..*_reconstruct\).*torch\.save\(torch\.as_tensor\(features\), path\)")


@pytest.mark.parametrize("layout", ["trident", "stamp", "pt", "npy"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path: Path, layout: str, bad: float):
    values = writers.features(50)
    values[[3, 9], 2] = bad
    path = {
        "trident": lambda: writers.trident(tmp_path / "S1.h5", values),
        "stamp": lambda: writers.stamp_2_4(tmp_path / "S1.h5", values),
        "pt": lambda: writers.tensor(tmp_path / "S1.pt", torch.from_numpy(values).bfloat16()),
        "npy": lambda: writers.array(tmp_path / "S1.npy", values),
    }[layout]()
    _refused(path, "holds NaN or infinite values in 2 of 50 patches; extract its features again")
    assert read_patches(inspect(path), np.arange(4, 9)).isfinite().all()


def test_float64_beyond_float32(tmp_path: Path):
    _refused(writers.array(tmp_path / "S1.npy", np.full((2, 3), 1e300)), "in 2 of 2 patches")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@given(n=st.integers(1, 80), width=st.integers(1, 80), where=st.integers(0, 10**6))
def test_one_bad_value_anywhere_is_found(
    dtype: torch.dtype, bad: float, n: int, width: int, where: int
):
    patches = torch.randn(n, width, generator=torch.Generator().manual_seed(n)).to(dtype)
    require_finite(Path("S1.h5"), patches)
    if dtype != torch.bfloat16:
        require_finite(Path("S1.h5"), patches.numpy())
    patches.view(-1)[where % patches.numel()] = bad
    with pytest.raises(InputError, match=f"in 1 of {n} patches"):
        require_finite(Path("S1.h5"), patches)
    if dtype != torch.bfloat16:  # which NumPy has not
        with pytest.raises(InputError, match=f"in 1 of {n} patches"):
            require_finite(Path("S1.h5"), patches.numpy())


def test_changed_since_inspected(tmp_path: Path):
    slide = inspect(writers.array(tmp_path / "S1.npy", writers.features(7)))
    writers.array(slide.path, writers.features(8))
    with pytest.raises(InputError, match="has changed since it was inspected"):
        read_patches(slide)


def _cohort(folder: Path, **odd: Path) -> list:
    usual = [writers.trident(folder / f"usual{i}.h5", writers.features()) for i in range(4)]
    return [inspect(path) for path in (*odd.values(), *usual)]


def test_slides_made_alike_pass(tmp_path: Path):
    # The scanner's own magnification and unrecorded encoders are no difference.
    scanned = writers.trident(
        tmp_path / "20x.h5",
        writers.features(9, dtype="float16"),
        level0_magnification=20,
        patch_size_level0=256,
    )
    silent = writers.clam(tmp_path / "clam.h5", writers.features())
    check_slides(_cohort(tmp_path, scanned=scanned, silent=silent))
    check_slides([])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: writers.trident(path, writers.features(width=6)),
            "1 feature file has width 6 while 4 have 5: {path}. One model needs",
        ),
        (
            lambda path: writers.trident(path, writers.features(), encoder="conch_v15"),
            "1 feature file has patch encoder conch_v15 while 4 have uni_v1: {path}.",
        ),
        (
            lambda path: writers.trident(path, writers.features(), target_magnification=10),
            "1 feature file has patch size in µm 256.0 while 4 have 128.0: {path}.",
        ),
        (
            lambda path: writers.trident(
                path, writers.features(), patch_size=512, target_magnification=40
            ),
            "1 feature file has patch size in px 512 while 4 have 256: {path}.",
        ),
    ],
)
def test_one_slide_made_differently(tmp_path: Path, write: Callable[[Path], Path], message: str):
    odd = write(tmp_path / "odd.h5")
    with pytest.raises(InputError, match=re.escape(message.format(path=odd))) as caught:
        check_slides(_cohort(tmp_path, odd=odd))
    assert len(caught.value.problems) == 1


def test_every_difference_is_named_at_once(tmp_path: Path):
    wide = writers.trident(tmp_path / "wide.h5", writers.features(width=6))
    wider = writers.trident(tmp_path / "wider.h5", writers.features(width=9), encoder="phikon")
    wider2 = writers.trident(tmp_path / "wider2.h5", writers.features(width=9), encoder="phikon")
    with pytest.raises(InputError) as caught:
        check_slides(_cohort(tmp_path, wide=wide, wider=wider, wider2=wider2))
    assert [problem.partition(" while ")[0] for problem in caught.value.problems] == [
        "2 feature files have width 9",
        "1 feature file has width 6",
        "2 feature files have patch encoder phikon",
    ]


@pytest.mark.parametrize("recorded", ["{", "[1]", "[" * 100_000])
def test_extraction_settings_that_are_none(tmp_path: Path, recorded: str):
    path = writers.trident(tmp_path / "S1.h5", writers.features())
    with h5py.File(path, "a") as h5:
        h5.attrs["extraction"] = recorded[:60_000]
    with pytest.raises(InputError, match=r"S1\.h5"):
        inspect(path)
