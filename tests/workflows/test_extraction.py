"""Slides to features as a use case of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import histodistill
from histodistill.errors import InputError
from histodistill.tiling import TilingSettings
from histodistill.workflows.extraction import (
    EncoderChoice,
    ExtractionComputing,
    ExtractionRequest,
    TissueFiles,
    plan_extraction,
)
from tests.extraction.conftest import TILING, tissue_picture, write_slide


def request(folder: Path, weights: Path, **changes: object) -> ExtractionRequest:
    choice = EncoderChoice("torchscript", weights, 64, allow_code=True)
    wanted = {"slides": folder / "slides", "folder": folder / "out", "encoder": choice}
    return ExtractionRequest(**wanted | {"tiling": TILING} | changes)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_slide(tmp_path / "slides" / "sound.tiff", tissue_picture())
    return tmp_path


def test_slides_become_features_that_can_be_opened(folder, weights):
    summary = histodistill.extract(request(folder, weights))
    assert [record.status for record in summary.records] == ["done"]
    assert summary.notes == ()
    bags = histodistill.open_bags({"one": [folder / "out" / "sound.h5"]})
    assert bags.n_patches("one") == summary.patches > 0


def test_what_the_slides_need_not_is_told(folder, weights):
    (told,) = histodistill.extract(request(folder, weights, slide_mpp=0.25)).notes
    assert told.startswith("--slide-mpp 0.25 was not used")


def test_all_problems_are_told_before_a_slide_is_read(folder, weights, monkeypatch):
    (folder / "outlines").mkdir()
    (folder / "outlines" / "stranger.geojson").write_text("{}")
    (folder / "out").write_text("a file in place of the folder")
    with pytest.raises(InputError) as raised:
        plan_extraction(
            request(
                folder,
                weights,
                tissue_files=TissueFiles(folder / "outlines"),
                computing=ExtractionComputing(device="gpu"),
            )
        )
    told = raised.value.problems
    assert len(told) == 3
    assert "stranger.geojson" in told[0]
    assert f"{folder / 'out'}: nothing can be written there" in told[1]
    assert "device 'gpu' is none of auto, cpu, cuda" in told[2]


def test_nothing_is_downloaded_for_slides_that_are_not_there(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []
    monkeypatch.setattr(hub, "hf_hub_download", lambda *a, **k: asked.append(a))
    wanted = ExtractionRequest(str(tmp_path / "none"), tmp_path / "out", EncoderChoice("uni"))
    with pytest.raises(InputError, match="No slide found"):
        plan_extraction(wanted)
    assert not asked


def test_a_folder_of_other_features_is_refused_before_a_slide_is_read(folder, weights):
    histodistill.extract(request(folder, weights))
    other = request(folder, weights, tiling=TilingSettings(mpp=1.0, patch_px=128))
    with pytest.raises(InputError, match=r"other settings \(tiling.patch_px: 128, not 64\)"):
        plan_extraction(other)


def test_the_tiling_is_what_the_encoders_authors_recommend(folder, weights):
    plan = plan_extraction(request(folder, weights, tiling=None))
    assert plan.settings.tiling == TilingSettings(mpp=plan.encoder.mpp, patch_px=224)
