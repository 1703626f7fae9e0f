"""Which methods a draft takes: by what files hold, and how much patches differ; by no label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.drafting import Draft, Given, draft_experiment
from histodistill.drafting import variation as measuring
from histodistill.drafting.variation import measured_variation
from histodistill.features import formats, open_bags
from histodistill.preparation.prototypes import find_prototypes
from tests.drafting import sources
from tests.drafting.sources import PATIENTS
from tests.features.writers import trident

WIDTH = 4


def bags(folder: Path, spread: float, n_patches: int = 40, slides: int = 1) -> Path:
    """Slides of each patient, whose patches differ by ``spread`` and patients by 1."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for patient in PATIENTS:
        centre = rng.normal(size=WIDTH)
        for slide in range(slides):
            patches = centre + spread * rng.normal(size=(n_patches, WIDTH))
            path = folder / f"{patient}-01Z-00-DX{slide + 1}.h5"
            trident(path, patches.astype(np.float32))
    return folder


def drafted(folder: Path, features: Path, **more: Path) -> Draft:
    genomics = {"mrna": sources.cbioportal_zscores(folder)}
    given = Given(sources.plain_clinical(folder), features, genomics=genomics, **more)
    return draft_experiment(given, folder / "experiment.yaml")


def methods(draft: Draft) -> list[str]:
    (value,) = (setting.value for setting in draft.settings if setting.key == "methods")
    return list(value)


@pytest.mark.parametrize(
    ("spread", "chosen", "told"),
    [
        (3.0, "proportions", "The patches of a patient differ: "),
        (0.1, "programmes", "The patches of a patient hardly differ: 1% of the variance"),
    ],
)
def test_patches_that_differ_ask_for_proportions(
    tmp_path: Path, spread: float, chosen: str, told: str
) -> None:
    draft = drafted(tmp_path, bags(tmp_path / "features", spread))
    assert methods(draft) == [chosen, "abmil"]
    assert draft.decisions == ()
    assert any(sentence.startswith(told) for sentence in draft.reasons("methods"))
    assert "(measured on 24 of them)" in " ".join(draft.text.replace("#", "").split())
    offered = "# methods: [programmes, abmil]" in draft.text
    assert offered is (chosen == "proportions")


@pytest.mark.parametrize("spread", [0.6, 0.9, 1.1, 1.6])
def test_the_draft_says_what_training_will_find(tmp_path: Path, spread: float) -> None:
    features = bags(tmp_path / "features", spread, slides=2)
    files = {p: sorted(features.glob(f"{p}*")) for p in PATIENTS}
    found = find_prototypes(open_bags(files), PATIENTS, 3)
    measured = measured_variation(files)
    assert measured is not None
    assert measured.differ is (found is not None)
    assert methods(drafted(tmp_path, features))[0] == (
        "programmes" if found is None else "proportions"
    )


def test_labels_decide_nothing(tmp_path: Path) -> None:
    features = bags(tmp_path / "features", 3.0)
    before = drafted(tmp_path, features).reasons("methods")
    path = sources.plain_clinical(tmp_path)
    table = pd.read_csv(path, dtype=str)
    table["ER"] = table["ER"].sample(frac=1, random_state=0).to_numpy()
    given = Given(path, features, genomics={"mrna": sources.cbioportal_zscores(tmp_path)})
    table.to_csv(path, index=False)
    assert draft_experiment(given, tmp_path / "e.yaml").reasons("methods") == before


def test_one_patch_a_patient_hardly_differs(tmp_path: Path) -> None:
    draft = drafted(tmp_path, bags(tmp_path / "features", 3.0, n_patches=1))
    assert methods(draft) == ["programmes", "abmil"]
    assert "hardly differ: 0% of" in draft.reasons("methods")[1]


def test_some_patches_of_some_patients_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = bags(tmp_path / "features", 1.0, n_patches=200, slides=2)
    read: dict[Path, np.ndarray] = {}
    original = formats.read_values

    def watched(slide, rows, dtype):
        read[slide.path] = rows
        return original(slide, rows, dtype)

    monkeypatch.setattr(measuring, "read_values", watched)
    monkeypatch.setattr(measuring, "_PATIENTS", 5)
    files = {p: sorted(features.glob(f"{p}*")) for p in PATIENTS}
    first = measured_variation(files)
    assert first is not None
    assert first.patients == 5
    assert len(read) == 10
    assert sum(map(len, read.values())) == 5 * 128
    assert all(len(np.unique(rows)) == len(rows) for rows in read.values())
    assert measured_variation(dict(reversed(files.items()))) == first


def test_what_is_not_there_or_damaged_is_not_measured(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in sources.slide_names():
        (images / f"{name}.svs").touch()
    genomics = {"mrna": sources.cbioportal_zscores(tmp_path)}
    given = Given(sources.plain_clinical(tmp_path), slides=images, genomics=genomics)
    draft = draft_experiment(given, tmp_path / "experiment.yaml")
    assert methods(draft) == ["programmes", "abmil"]
    assert "could not be measured" in draft.reasons("methods")[1]
    assert "# methods: [proportions, abmil]" in draft.text

    features = bags(tmp_path / "features", 3.0)
    broken = sorted(features.iterdir())[3]
    trident(broken, np.full((9, WIDTH), np.nan, np.float32))
    draft = drafted(tmp_path, features)
    assert methods(draft) == ["programmes", "abmil"]
    (problem,) = draft.decisions
    assert f"{broken} holds NaN or infinite values" in problem


def test_files_that_were_not_made_alike_are_told(tmp_path: Path) -> None:
    features = bags(tmp_path / "features", 3.0)
    odd = sorted(features.iterdir())[5]
    trident(odd, np.zeros((9, WIDTH + 1), np.float32))
    draft = drafted(tmp_path, features)
    assert methods(draft) == ["programmes", "abmil"]
    (problem,) = draft.decisions
    assert f"1 feature file has width {WIDTH + 1}" in problem
    assert str(odd) in problem
