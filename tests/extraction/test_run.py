"""Runs over folders of slides: right features, resumed work, and every fault a slide can have."""

import csv
import errno
import os
import shutil
import time
from collections import namedtuple
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from histodistill.claims import Claims
from histodistill.encoders import PatchEncoder
from histodistill.errors import InputError
from histodistill.extraction import SlideEntry, extract_slides, with_tissue_files
from histodistill.extraction.run import Progress
from histodistill.slides import open_slide
from histodistill.tiling import TilingSettings, segment_tissue, tile
from tests.slides.pictures import write_svs

from .conftest import TILING, tissue_picture, write_slide


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


def reasons(summary):
    return {record.slide: (record.status, record.reason) for record in summary.records}


def test_features_are_those_of_each_patch_encoded_alone(entries, encoder, settings, tmp_path):
    (entry,) = entries(1)
    summary = extract_slides([entry], encoder, tmp_path / "out", settings, batch_size=7)
    with open_slide(entry.path) as slide:
        grid = tile(slide.dimensions, slide.mpp, segment_tissue(slide), TILING)
        patches = [slide.read_region_rgb(x, y, 64, 64, (64, 64)) for x, y in grid.coords]
    expected = torch.cat([encoder.encode(torch.from_numpy(each[None])) for each in patches])
    with h5py.File(tmp_path / "out" / "slide0.h5") as h5:
        assert np.array_equal(h5["coords"], grid.coords)
        assert np.allclose(h5["features"], expected.numpy(), atol=2e-3)
    assert summary.patches == len(grid) > 20


def test_the_same_bytes_whatever_the_number_of_workers(entries, encoder, settings, tmp_path):
    slides = entries(3)
    for out, workers in (("one", 1), ("four", 4), ("again", 4)):
        extract_slides(slides, encoder, tmp_path / out, settings, workers=workers)
    one = contents(tmp_path / "one")
    assert len(one) == 3
    assert one == contents(tmp_path / "four") == contents(tmp_path / "again")


def test_outlines_and_pictures_are_left_for_every_slide(entries, encoder, settings, tmp_path):
    out = tmp_path / "out"
    extract_slides(entries(2), encoder, out, settings)
    assert {path.name for path in (out / "previews").iterdir()} == {"slide0.jpg", "slide1.jpg"}
    assert {path.name for path in (out / "tissue").iterdir()} == {
        "slide0.geojson",
        "slide1.geojson",
    }


def test_finished_slides_are_not_done_again(entries, encoder, settings, tmp_path):
    slides, out = entries(3), tmp_path / "out"
    extract_slides(slides[:2], encoder, out, settings)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    summary = extract_slides(slides, encoder, out, settings)
    assert (summary.resumed, len(summary.with_status("done"))) == (2, 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiling": TilingSettings(mpp=2.0, patch_px=64)}, r"tiling\.mpp: 2\.0, not 1\.0"),
        ({"encoder": "uni", "weights_sha256": "0" * 64}, r"encoder: uni, not torchscript"),
        ({"stain": "reinhard"}, r"stain: reinhard, not none"),
    ],
)
def test_a_folder_takes_no_second_kind_of_features(
    entries, encoder, settings, tmp_path, change, message
):
    slides, out = entries(1), tmp_path / "out"
    extract_slides(slides, encoder, out, settings)
    with pytest.raises(InputError, match=message):
        extract_slides(slides, encoder, out, settings.model_copy(update=change))


def test_a_file_of_other_settings_under_the_slides_name_is_left_alone(
    entries, encoder, settings, tmp_path
):
    slides, out = entries(1), tmp_path / "out"
    extract_slides(slides, encoder, out, settings)
    (out / "extraction.json").unlink()
    before = contents(out)
    coarse = settings.model_copy(update={"tiling": TilingSettings(mpp=2.0, patch_px=64)})
    summary = extract_slides(slides, encoder, out, coarse)
    assert "was made with other settings (tiling.mpp: 2.0, not 1.0)" in summary.records[0].reason
    assert contents(out) == before


def test_a_file_whose_record_was_lost_counts_as_done(entries, encoder, settings, tmp_path):
    slides, out = entries(1), tmp_path / "out"
    (first,) = extract_slides(slides, encoder, out, settings).records
    shutil.rmtree(out / ".records")
    (again,) = extract_slides(slides, encoder, out, settings).records
    assert (again.status, again.patches) == ("done", first.patches)


@pytest.fixture
def faulty(tmp_path):
    """One slide of each fault, with what is said of it, and a sound one."""
    folder = tmp_path / "faulty"
    sound = write_slide(folder / "sound.tiff", tissue_picture())
    write_slide(folder / "white.tiff", np.full((512, 512, 3), 245, np.uint8))
    write_slide(folder / "unscaled.tiff", tissue_picture(), mpp=None)
    write_slide(folder / "coarse.tiff", tissue_picture(), mpp=4.0)
    (folder / "cut.tiff").write_bytes(sound.read_bytes()[:3000])
    Image.fromarray(tissue_picture()).save(folder / "picture.png")
    (folder / "picture.png").rename(folder / "picture.svs")
    return folder


def test_each_fault_costs_its_slide_and_is_told(faulty, encoder, settings, tmp_path):
    slides = [SlideEntry(path, path.stem) for path in sorted(faulty.iterdir())]
    summary = extract_slides(slides, encoder, tmp_path / "out", settings)
    told = reasons(summary)
    assert told["sound"] == ("done", "")
    assert told["white"] == ("skipped", "no tissue found; check the outline picture")
    assert told["unscaled"] == (
        "skipped",
        "unscaled.tiff: no µm/px recorded; give it with --slide-mpp, or in a column 'mpp' of a "
        "slide table",
    )
    assert told["coarse"][0] == "skipped"
    assert "too coarse for patches at 1 µm/px" in told["coarse"][1]
    assert told["cut"][0] == "failed"
    assert "truncated" in told["cut"][1]
    assert told["picture"][0] == "failed"
    assert "really a PNG image, not a .svs file" in told["picture"][1]
    with (tmp_path / "out" / "extraction.csv").open() as stream:
        rows = {row["slide"]: row for row in csv.DictReader(stream)}
    assert {name: row["status"] for name, row in rows.items()} == {
        name: status for name, (status, _) in told.items()
    }
    assert int(rows["sound"]["patches"]) > 20
    assert rows["sound"]["mpp_source"] == "openslide.mpp-x"
    assert (tmp_path / "out" / "previews" / "white.jpg").is_file()


def test_what_failed_is_tried_again(faulty, encoder, settings, tmp_path):
    entry = SlideEntry(faulty / "unscaled.tiff", "unscaled")
    out = tmp_path / "out"
    assert reasons(extract_slides([entry], encoder, out, settings))["unscaled"][0] == "skipped"
    told = replace(entry, mpp=1.0, patient="P1")
    (record,) = extract_slides([told], encoder, out, settings).records
    assert (record.status, record.mpp_source, record.patient) == (
        "done",
        "given by the user",
        "P1",
    )


def test_a_resolution_for_those_that_record_none_leaves_the_others_alone(
    faulty, encoder, settings, tmp_path
):
    slides = [
        SlideEntry(faulty / f"{name}.tiff", name, mpp_if_unrecorded=1.5)
        for name in ("sound", "unscaled")
    ]
    sound, unscaled = extract_slides(
        slides,
        encoder,
        tmp_path / "out",
        settings.model_copy(update={"tiling": TilingSettings(mpp=2.0, patch_px=64)}),
    ).records
    assert sound.mpp == pytest.approx(1.0)
    assert unscaled.mpp == 1.5


def test_an_unreadable_region_costs_its_slide_only(entries, encoder, settings, tmp_path):
    slides = entries(2)
    compressed = slides[0].path
    # A coarse second level keeps the slide readable where the tissue is looked for.
    with tifffile.TiffWriter(compressed) as writer:
        for level, step in enumerate((1, 8)):
            writer.write(
                tissue_picture()[::step, ::step],
                tile=(128, 128),
                photometric="rgb",
                compression="zlib",
                resolution=(1e4 / step, 1e4 / step),
                resolutionunit=3,
                subfiletype=int(level > 0),
            )
    with tifffile.TiffFile(compressed) as file:
        page = file.pages[0]
        offset, length = page.dataoffsets[5], page.databytecounts[5]
    content = bytearray(compressed.read_bytes())
    content[offset : offset + length] = b"\0" * length
    compressed.write_bytes(content)
    summary = extract_slides(slides, encoder, tmp_path / "out", settings)
    damaged, sound = summary.records
    assert (damaged.status, sound.status) == ("failed", "done")
    assert "slide0.tiff: truncated or damaged" in damaged.reason
    assert not (tmp_path / "out" / "slide0.h5").exists()


def test_an_unexpected_error_in_a_decoder_costs_its_slide_only(
    entries, encoder, settings, tmp_path, monkeypatch
):
    import histodistill.extraction.slide_extraction as module

    def segment(slide, settings):
        if slide.path.stem == "slide0":
            raise ZeroDivisionError("odd header")
        return segment_tissue(slide, settings)

    monkeypatch.setattr(module, "segment_tissue", segment)
    first, second = extract_slides(entries(2), encoder, tmp_path / "out", settings).records
    assert (first.status, first.reason) == ("failed", "ZeroDivisionError: odd header")
    assert second.status == "done"


def test_features_too_large_for_float16_are_refused(entries, encoder, settings, tmp_path):
    class Loud(PatchEncoder):
        def encode(self, patches):
            return super().encode(patches) * 1e6

    loud = Loud(encoder.encoder, encoder._network, encoder.weights_hash, encoder.device)
    (record,) = extract_slides(entries(1), loud, tmp_path / "out", settings).records
    assert record.status == "failed"
    assert "features that float16 cannot hold" in record.reason


def test_a_full_disk_stops_the_run_before_anything_is_lost(
    entries, encoder, settings, tmp_path, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    slides, out = entries(2), tmp_path / "out"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 3 * 2**20))
    with pytest.raises(InputError, match=r"has 3 MiB free; .* needs 64 MiB.*Free some space"):
        extract_slides(slides, encoder, out, settings)
    free = iter([10**9, 10**9, 0])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, next(free, 0)))
    with pytest.raises(InputError, match=r"0 MiB free"):
        extract_slides(slides, encoder, out, settings)
    monkeypatch.undo()
    summary = extract_slides(slides, encoder, out, settings)
    assert (len(summary.with_status("done")), summary.resumed) == (2, 1)


def test_tissue_files_go_before_the_segmentation(entries, encoder, settings, tmp_path):
    slides = entries(3)
    tissue = tmp_path / "given"
    tissue.mkdir()
    (tissue / "slide0.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[0,0],[128,0],[128,64],[0,64],[0,0]]]}'
    )
    mask = np.zeros((64, 64), np.uint8)
    mask[:8, :24] = 255
    Image.fromarray(mask).save(tissue / "slide1.png")
    out = tmp_path / "out"
    summary = extract_slides(with_tissue_files(slides, tissue), encoder, out, settings)
    used = {record.slide: record.tissue for record in summary.records}
    assert used == {"slide0": "slide0.geojson", "slide1": "slide1.png", "slide2": "segmented"}
    found = {}
    for entry in slides:
        with h5py.File(out / f"{entry.slide_id}.h5") as h5:
            found[entry.slide_id] = h5["coords"].attrs["tissue"], h5["coords"][:3].tolist()
    assert found["slide0"] == ("GeoJSON", [[0, 0], [64, 0]])
    assert found["slide1"] == ("mask", [[0, 0], [64, 0], [128, 0]])
    assert found["slide2"][0] == "segmented"


def test_a_slide_held_by_another_process_is_left_to_it(entries, encoder, settings, tmp_path):
    out = tmp_path / "out"
    with Claims(out / ".claims") as other:
        other.take("slide0")
        summary = extract_slides(entries(2), encoder, out, settings)
    assert [record.status for record in summary.records] == ["elsewhere", "done"]
    assert not (out / "slide0.h5").exists()


def test_waiting_takes_over_when_the_holder_lets_go(
    entries, encoder, settings, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    with Claims(out / ".claims") as other:
        other.take("slide0")
        monkeypatch.setattr(time, "sleep", lambda seconds: other.release("slide0"))
        summary = extract_slides(entries(2), encoder, out, settings, wait=True)
    assert [record.status for record in summary.records] == ["done", "done"]


class Diary(Progress):
    """Everything a run tells."""

    def __init__(self):
        self.started, self.encoded, self.finished = {}, 0, []

    def slide_started(self, slide_id, n_patches):
        self.started[slide_id] = n_patches

    def patches_encoded(self, n_patches):
        self.encoded += n_patches

    def slide_finished(self, record, *, earlier):
        self.finished.append((record.slide, earlier))


def test_progress_is_told_of_every_slide_and_patch(entries, encoder, settings, tmp_path):
    slides, out = entries(2), tmp_path / "out"
    extract_slides(slides[:1], encoder, out, settings)
    diary = Diary()
    summary = extract_slides(slides, encoder, out, settings, progress=diary)
    assert diary.finished == [("slide0", True), ("slide1", False)]
    assert diary.started == {"slide1": summary.patches}
    assert diary.encoded == summary.patches


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission is denied"),
    ],
)
def test_a_folder_that_cannot_be_written_ends_the_run_in_a_sentence(
    entries, encoder, settings, tmp_path, monkeypatch, number, message
):
    import histodistill.extraction.slide_extraction as module

    out = tmp_path / "out"

    def write(path, *arguments):
        raise OSError(number, os.strerror(number), str(path))

    slides = entries(2)
    monkeypatch.setattr(module, "write_features", write)
    with pytest.raises(InputError, match=rf"slide0\.h5: .*{message}.*Finished slides are kept"):
        extract_slides(slides, encoder, out, settings)
    monkeypatch.undo()
    records = extract_slides(slides, encoder, out, settings).records
    assert [record.status for record in records] == ["done", "done"]


def test_a_slide_that_may_not_be_read_costs_that_slide(
    entries, encoder, settings, tmp_path, monkeypatch
):
    import histodistill.extraction.slide_extraction as module

    def refuse(path, mpp=None):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    slides = entries(1)
    monkeypatch.setattr(module, "open_slide", refuse)
    (record,) = extract_slides(slides, encoder, tmp_path / "out", settings).records
    assert record.status == "failed"
    assert "slide0.tiff: permission is denied" in record.reason


@pytest.mark.parametrize("content", ["{", "[]", "null", "[" * 100_000])
def test_damaged_records_are_told_with_the_remedy(entries, encoder, settings, tmp_path, content):
    (tmp_path / "extraction.json").write_text(content)
    with pytest.raises(InputError, match=r"extraction\.json"):
        extract_slides(entries(1), encoder, tmp_path, settings)


def test_an_objective_that_contradicts_the_scale_stands_in_the_record(tmp_path, encoder, settings):
    path = write_svs(tmp_path / "a.svs", tissue_picture(), "|AppMag = 40|MPP = 1.0")
    summary = extract_slides([SlideEntry(path, "a")], encoder, tmp_path / "out", settings)
    (record,) = summary.records
    assert record.status == "done"
    assert "records 1 µm/px and an objective of 40x, which means about 0.25" in record.reason
