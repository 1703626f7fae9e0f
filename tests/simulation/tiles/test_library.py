"""A folder of class folders is read whole, and what cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histodistill.errors import InputError
from histodistill.simulation.tiles import read_tiles
from tests.simulation.tiles.small import COLOURS, SIDE, write_tiles


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_tiles(folder)
    return tuple(caught.value.problems)


def test_every_tile_has_the_class_of_its_folder(tmp_path: Path) -> None:
    library = read_tiles(write_tiles(tmp_path, 3))
    assert library.classes == tuple(COLOURS)
    assert library.names[2:4] == ("fat/fat-02.png", "giant/giant-00.png")
    assert library.tissue.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert library.side == SIDE
    own = np.asarray(Image.open(tmp_path / "tumour" / "tumour-01.png"))
    np.testing.assert_array_equal(library.pixels(10), own)


def test_a_part_of_the_tiles_is_spread_over_their_names(tmp_path: Path) -> None:
    library = read_tiles(write_tiles(tmp_path, 6), per_class=2)
    assert library.names[:2] == ("fat/fat-00.png", "fat/fat-03.png")
    assert len(library.names) == 8


def test_a_folder_without_classes_or_with_one_is_refused(tmp_path: Path) -> None:
    assert "is no folder" in problems_of(tmp_path / "absent")[0]
    assert "this folder has none" in problems_of(tmp_path)[0]
    (tmp_path / "tumour").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "tumour" / "1.png")
    assert "this folder has only one, tumour" in problems_of(tmp_path)[0]


def test_an_empty_class_images_beside_classes_and_inner_folders_are_named(tmp_path: Path) -> None:
    write_tiles(tmp_path, 1)
    (tmp_path / "vessel").mkdir()
    (tmp_path / "fat" / "more").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "lost.png")
    empty, beside, inner = problems_of(tmp_path)
    assert "no image in the class folders vessel" in empty
    assert "lost.png" in beside
    assert inner.startswith(f"{tmp_path / 'fat'}: holds folders (more)")


def test_every_unreadable_tile_is_named(tmp_path: Path) -> None:
    write_tiles(tmp_path, 2)
    torn, text = tmp_path / "fat" / "fat-00.png", tmp_path / "tumour" / "tumour-01.png"
    torn.write_bytes(torn.read_bytes()[:200])
    text.write_text("not an image")
    deep = tmp_path / "stroma" / "stroma-00.png"
    Image.fromarray(np.zeros((16, 16), dtype=np.uint16)).save(deep)
    found = problems_of(tmp_path)
    assert [problem.partition(":")[0] for problem in found] == [str(torn), str(deep), str(text)]
    assert "8-bit RGB" in found[1]


def test_tiles_of_several_sizes_and_oblong_ones_are_named(tmp_path: Path) -> None:
    write_tiles(tmp_path, 2)
    other = tmp_path / "stroma" / "stroma-01.png"
    Image.new("RGB", (20, 16)).save(other)
    (problem,) = problems_of(tmp_path)
    assert "most are 16 x 16 px, 1 are not" in problem
    assert f"{other} (20 x 16)" in problem
    for path in tmp_path.glob("*/*.png"):
        Image.new("RGB", (20, 16)).save(path)
    (problem,) = problems_of(tmp_path)
    assert "20 x 16 px; tiles must be square" in problem
