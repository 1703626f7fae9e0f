"""A layout from outside the package: what the documentation says of it, done word by word."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from histodistill.errors import InputError
from histodistill.features import inspect, open_bags, read_coords
from histodistill.features.layouts.registry import companion_patterns, feature_suffixes
from tests.cli.command_line import fail, succeed
from tests.experiment.small import experiment_file, template
from tests.features import writers

__all__ = ["template"]

PAGE = Path(__file__).parents[3] / "docs/extending.md"
LAYOUT = "my_package.layouts:Safetensors"
EMPTY = """
from histodistill.features import LAYOUTS, FeatureLayout

class Nameless(FeatureLayout):
    def inspect(self, path): return None
    def read_patches(self, path, rows): raise NotImplementedError

@LAYOUTS.declare("odd", suffixes=(".odd",))
class Odd(Nameless):
    def inspect(self, path):
        from histodistill.features import SlideFeatures
        return SlideFeatures(path, 3, 2, path.read_text())
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package that the page writes, where Python looks; forgotten afterwards."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_package").mkdir()
    (folder / "my_package/__init__.py").touch()
    blocks = re.findall(r"```python\n(# my_package/layouts\.py\n.*?)```", PAGE.read_text(), re.S)
    (folder / "my_package/layouts.py").write_text(blocks[0])
    (folder / "my_package/odd.py").write_text(EMPTY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def stored(path: Path, patches: np.ndarray) -> Path:
    tensors = {"features": patches, "coords": writers.grid(len(patches))}
    save_file(tensors, path, {"encoder": "simulated"})
    return path


def test_it_is_read_and_packed_as_any_other(package: Path, tmp_path: Path) -> None:
    values = {name: writers.features(6, seed=n) for n, name in enumerate(("P1", "P2"))}
    paths = {p: [stored(tmp_path / f"{p}.safetensors", v)] for p, v in values.items()}
    slide = inspect(paths["P1"][0], LAYOUT)
    assert (slide.layout, slide.encoder, slide.dtype) == (LAYOUT, "simulated", "float32")
    np.testing.assert_array_equal(read_coords(slide), writers.grid(6))
    read = open_bags(paths, layout=LAYOUT)
    packed = open_bags(paths, layout=LAYOUT, cache=tmp_path / "cache")
    again = open_bags(paths, layout=LAYOUT, cache=tmp_path / "cache")
    assert again.notes == ()
    for store in (read, packed, again, pickle.loads(pickle.dumps(read))):
        for patient, expected in values.items():
            assert torch.equal(store.bag(patient), torch.from_numpy(expected))


def test_an_experiment_names_it(package: Path, template: Path, tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    for each in template.iterdir():
        (tmp_path / "cohort" / each.name).symlink_to(each)
    (tmp_path / "cohort/features").unlink()
    (tmp_path / "cohort/features").mkdir()
    for path in (template / "features").glob("*.h5"):
        with h5py.File(path) as h5:
            stored(tmp_path / "cohort/features" / f"{path.stem}.safetensors", h5["features"][:])
    table = tmp_path / "cohort/slides.csv"
    text = table.read_text()
    table.unlink()
    table.write_text(text.replace(".h5", ".safetensors"))
    succeed("audit", experiment_file(tmp_path, {"features": {"layout": LAYOUT}}))
    problems = fail("audit", experiment_file(tmp_path, {"features": {"layout": "trident"}}))
    assert "holds no feature files (.h5, .hdf5)" in problems[0]
    assert "holds no feature files" in fail("audit", experiment_file(tmp_path))[0]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("my_package.layouts:Nowhere", "cannot be imported: AttributeError"),
        ("pathlib:Path", "is not a subclass of histodistill.features.layouts.base:FeatureLayout"),
        ("my_package.odd:Nameless", "declares no suffixes"),
        ("safetensor", "unknown feature layout 'safetensor', here and in installed packages"),
    ],
)
def test_what_cannot_be_is_refused_at_the_audit(
    package: Path, template: Path, tmp_path: Path, layout: str, message: str
) -> None:
    (tmp_path / "cohort").symlink_to(template)
    changes = {"features": {"layout": layout}}
    assert message in "\n".join(fail("audit", experiment_file(tmp_path, changes)))


@pytest.mark.parametrize("dtype", ["int64", "object", ""])
def test_a_dtype_that_features_do_not_have(package: Path, tmp_path: Path, dtype: str) -> None:
    (tmp_path / "S1.odd").write_text(dtype or "nonsense")
    with pytest.raises(InputError, match=r"S1\.odd holds \w+ values, not features"):
        inspect(tmp_path / "S1.odd", "my_package.odd:Odd")


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = writers.clam(tmp_path / "S1.h5", writers.features())
    with pytest.raises(InputError, match=r"S1\.h5 is not of the layout `trident`"):
        inspect(path, "trident")


def test_what_packed_bags_name_is_not_imported(tmp_path: Path) -> None:
    paths = {"P1": [writers.clam(tmp_path / "S1.h5", writers.features())]}
    open_bags(paths, cache=tmp_path / "cache")
    (manifest,) = (tmp_path / "cache").glob("*.json")
    content = json.loads(manifest.read_text())
    content["patients"][0]["slides"][0]["slide"]["layout"] = "antigravity:fly"
    manifest.write_text(json.dumps(content))
    again = open_bags(paths, cache=tmp_path / "cache")
    assert "antigravity" not in sys.modules
    assert "names a layout that was not asked for (antigravity:fly)" in again.notes[0]
    assert torch.equal(again.bag("P1"), open_bags(paths).bag("P1"))


def test_suffixes_with_coordinates_come_first_and_companions_are_known() -> None:
    assert feature_suffixes() == (".h5", ".hdf5", ".pt", ".npz", ".npy")
    assert "tiles/*.npy" in companion_patterns()
    assert companion_patterns("trident") == ()


def test_pytorch_is_imported_for_its_own_files_alone(tmp_path: Path) -> None:
    values = writers.features()
    np.savez(tmp_path / "e.npz", features=values)
    writers.trident(tmp_path / "a.h5", values)
    writers.clam(tmp_path / "b.h5", values)
    writers.stamp_2_4(tmp_path / "c.h5", values)
    writers.array(tmp_path / "d.npy", values)
    program = (
        "import sys; from pathlib import Path; from histodistill.features.layouts.registry import "
        "LAYOUTS; from histodistill.features import inspect\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    slide = inspect(path); LAYOUTS.load(slide.layout)().read_patches(path, None)\n"
        "    print(slide.layout)\n"
        "print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    assert told.stdout.split() == ["trident", "clam", "stamp", "numpy", "numpy", "False"]
