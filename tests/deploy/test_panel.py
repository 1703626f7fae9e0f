"""Models of several targets in one folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from histodistill.deploy import Bundle, Panel, predict
from histodistill.deploy.panel import PANEL, bundle_of, told_of_targets
from histodistill.errors import InputError
from histodistill.workflows.new_features import NewFeatures
from histodistill.workflows.prediction import PredictionRequest, plan_prediction
from tests.deploy.bundles import bags_of, bundle, member

GRADES = ("low", "middle", "high")


def of_target(name: str, made: Bundle) -> Bundle:
    return replace(made, info=made.info.model_copy(update={"target": name}))


def panel() -> Panel:
    """ER and PR of the same transforms, and a grade of three classes."""
    return Panel(
        {
            "ER": of_target("ER", bundle(member(0))),
            "PR": of_target("PR", bundle(member(0))),
            "GRADE": of_target(
                "GRADE", bundle(member(2, classes=3, thresholds={}), classes=GRADES)
            ),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "panel"
    panel().save(place)
    return place


def test_each_folder_is_a_bundle_of_its_own(folder: Path) -> None:
    loaded = Panel.load(folder)
    assert list(loaded.bundles) == ["ER", "PR", "GRADE"]
    for name, own in loaded.bundles.items():
        assert Bundle.load(folder / name).fingerprint == own.fingerprint
        assert own.fingerprint == panel().bundles[name].fingerprint
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| GRADE | low, middle, high | mkd |" in card
    assert "(PR/MODEL_CARD.md)" in card


def test_a_single_bundle_is_written_and_read_as_ever(tmp_path: Path) -> None:
    alone = Panel({"ER": bundle()})
    alone.save(tmp_path / "panel")
    bundle().save(tmp_path / "bundle")
    files = {p.relative_to(tmp_path / "bundle") for p in (tmp_path / "bundle").rglob("*")}
    assert files == {p.relative_to(tmp_path / "panel") for p in (tmp_path / "panel").rglob("*")}
    assert list(Panel.load(tmp_path / "bundle").bundles) == ["ER"]
    assert bundle_of(tmp_path / "bundle", None) == tmp_path / "bundle"
    assert bundle_of(tmp_path / "bundle", "ER") == tmp_path / "bundle"


def test_what_targets_share_is_stored_once(folder: Path) -> None:
    weights = "member-0/networks.safetensors"
    assert (folder / "ER" / weights).samefile(folder / "PR" / weights)
    assert not (folder / "ER" / weights).samefile(folder / "GRADE" / weights)
    assert not list(folder.rglob("*.link"))


def test_a_file_system_without_links_has_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    panel().save(tmp_path / "panel")
    assert list(Panel.load(tmp_path / "panel").bundles) == ["ER", "PR", "GRADE"]


def test_one_target_of_several_is_asked_for_by_name(folder: Path) -> None:
    assert bundle_of(folder, "PR") == folder / "PR"
    assert list(Panel.load(folder, targets=["PR"]).bundles) == ["PR"]
    with pytest.raises(InputError, match="answers ER, PR, GRADE; say which with --target"):
        bundle_of(folder, None)
    for ask in (lambda: bundle_of(folder, "HER2"), lambda: Panel.load(folder, targets=["HER2"])):
        with pytest.raises(InputError, match="has no HER2; --target is one of ER, PR, GRADE"):
            ask()
    with pytest.raises(InputError, match="has no PR; --target is one of ER"):
        bundle_of(folder / "ER", "PR")


@pytest.mark.parametrize("targets", [["../ER"], ["/tmp"], [""], [], "ER", None, ["ER", 1]])
def test_a_description_that_leads_elsewhere_is_refused(folder: Path, targets: object) -> None:
    (folder / PANEL).write_text(json.dumps({"format": 1, "targets": targets}))
    with pytest.raises(InputError, match=r"panel\.json: damaged"):
        Panel.load(folder)


def test_bundles_that_do_not_belong_are_refused(folder: Path) -> None:
    (folder / "ER").rename(folder / "spare")
    (folder / "PR").rename(folder / "ER")
    (folder / "spare").rename(folder / "PR")
    with pytest.raises(InputError) as caught:
        Panel.load(folder)
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "a bundle of PR; copy the panel again",
        "a bundle of ER; copy the panel again",
    ]
    (folder / "GRADE" / "bundle.json").unlink()
    with pytest.raises(InputError, match="GRADE: not a model bundle"):
        Panel.load(folder)


def test_models_of_other_features_are_not_asked_together(tmp_path: Path) -> None:
    both = Panel({"ER": bundle(), "PR": of_target("PR", bundle(encoder="another"))})
    both.save(tmp_path / "panel")
    with pytest.raises(InputError, match="PR: reads other features or genes than ER"):
        Panel.load(tmp_path / "panel")
    assert Panel.load(tmp_path / "panel", targets=["PR"]).bundles["PR"].info.target == "PR"


def test_every_patient_has_a_row_a_target(folder: Path, tmp_path: Path) -> None:
    """With the answers that each bundle gives alone."""
    bags = bags_of(tmp_path / "slides", ["P2", "P1"])
    request = PredictionRequest(features=NewFeatures(tmp_path / "slides", patient_pattern="(P.)"))
    seen: list[tuple[int, int]] = []
    models = Panel.load(folder)
    plan = plan_prediction(models, request)
    table = plan.run(on_answers=lambda done, of: seen.append((done, of))).table
    assert table[["PATIENT", "target"]].to_numpy().tolist() == [
        [patient, name] for patient in ("P1", "P2") for name in ("ER", "PR", "GRADE")
    ]
    assert seen[-1] == (6, 6)
    assert seen == sorted(seen)
    for name, model in models.bundles.items():
        mine = table[table["target"] == name].reset_index(drop=True)
        alone = predict(model, bags=bags).table
        pd.testing.assert_frame_equal(mine[alone.columns], alone, check_dtype=False)


def test_a_threshold_is_of_one_target(folder: Path, tmp_path: Path) -> None:
    bags_of(tmp_path / "slides", ["P1"])
    request = PredictionRequest(
        features=NewFeatures(tmp_path / "slides", patient_pattern="(P.)"), threshold=0.5
    )
    with pytest.raises(InputError, match="say with --target which of ER, PR, GRADE"):
        plan_prediction(Panel.load(folder), request)
    plan_prediction(Panel.load(folder, targets=["ER"]), request)


def test_what_is_told_of_all_targets_is_told_once() -> None:
    notes = {"ER": ["slides are blue", "few"], "PR": ["slides are blue"]}
    assert told_of_targets(notes) == ("slides are blue", "ER: few")
