"""`histodistill explain`: maps of stored features, on slides and without them."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from histodistill.deploy import Bundle, predict
from histodistill.explanation.frame import Frame
from histodistill.explanation.overlay import Legend
from histodistill.explanation.raster import PatchPlaces
from histodistill.features import open_bags
from histodistill.inference.scope import Scope
from tests.cli.command_line import run
from tests.deploy.bundles import WIDTH, bundle, expression, member
from tests.explanation.programme_bundles import programme_member

SIDE = 64


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundle().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Two patients in TRIDENT's layout; the second one's patches are all alike."""
    folder = tmp_path / "features"
    folder.mkdir()
    rng = np.random.default_rng(0)
    xs, ys = np.meshgrid(np.arange(8), np.arange(6))
    coords = np.stack([xs.ravel(), ys.ravel()], axis=1) * SIDE
    different = rng.normal(0, 0.3, (48, WIDTH))
    different[coords[:, 0] < 4 * SIDE] += 2 * rng.normal(0, 1, WIDTH)
    alike = np.tile(rng.normal(0, 1, WIDTH), (48, 1)) + rng.normal(0, 1e-4, (48, WIDTH))
    for name, values in (("A-1", different), ("B-1", alike)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"] = values.astype(np.float32)
            file["coords"] = coords
            attributes = {"patch_size": SIDE, "target_magnification": 20, "patch_size_level0": SIDE}
            file["coords"].attrs.update(attributes)
    return folder


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(120, 220, (6 * SIDE, 8 * SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "A-1.png")
    return folder


def test_features_without_places_are_told_to_get_no_picture(
    model: Path, features: Path, tmp_path: Path
) -> None:
    with h5py.File(features / "B-1.h5", "a") as file:
        del file["coords"]
    told = explain(model, features, tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "1 slides have features that do not tell where their patches lie" in told.output
    assert {path.name for path in (tmp_path / "out/B/B-1").iterdir()} == {"patches.csv"}


def test_slides_unlike_those_of_training_are_told_on_their_maps(
    features: Path, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    paths = {f"T{i}": [tmp_path / f"T{i}.npy"] for i in range(60)}
    for (path,) in paths.values():
        np.save(path, rng.normal(50, 0.1, (20, WIDTH)).astype(np.float32))
    bags = open_bags(paths)
    replace(bundle(), scope=Scope.fit(bags, bags.patients)).save(tmp_path / "narrow")
    legends: list[Legend] = []

    def draw(own: Frame, places: PatchPlaces, values: object, legend: Legend) -> Image.Image:
        legends.append(legend)
        return Image.new("RGB", own.size)

    monkeypatch.setattr(Frame, "draw", draw)
    told = explain(
        tmp_path / "narrow", features, tmp_path / "out", "--slides", slides, "--slide-mpp", 0.5
    )
    assert told.exit_code == 0, told.output
    assert set(pd.read_csv(tmp_path / "out/maps.csv")["scope"]) == {"out of scope"}
    assert len(legends) == 2
    for legend in legends:
        assert any(line.startswith("Out of scope: slides unlike") for line in legend.lines)


def explain(model: Path, features: Path, out: Path, *more: object):
    return run(
        "explain", model, "--features", features, "--patient-pattern", "^(.)", "--out", out, *more
    )


def test_maps_certificates_and_files(
    model: Path, features: Path, slides: Path, tmp_path: Path
) -> None:
    genes = expression(["A"]).rename_axis("PATIENT").reset_index()
    genes.to_csv(tmp_path / "genes.csv", index=False)
    out = tmp_path / "maps"
    said = explain(
        model,
        features,
        out,
        *("--slides", slides, "--slide-mpp", "0.5"),
        *("--genomics", f"mrna={tmp_path / 'genes.csv'}"),
    )
    assert said.exit_code == 0, said.output
    maps = pd.read_csv(out / "maps.csv")
    assert maps[["PATIENT", "network"]].to_numpy().tolist() == [
        ["A", "student"],
        ["A", "multimodal"],
        ["B", "student"],
    ]
    student = maps.set_index(["PATIENT", "network"])
    assert student.loc[("A", "student"), "regional"]
    assert not student.loc[("B", "student"), "regional"]
    assert "no regional evidence" in str(student.loc[("B", "student"), "verdict"])
    assert (maps["shares"] == ["exact", "integrated gradients", "exact"]).all()

    predicted = predict(
        Bundle.load(model),
        bags=open_bags({p: [features / f"{p}-1.h5"] for p in "AB"}),
        genomics={"mrna": expression(["A"])},
    ).table.set_index("PATIENT")
    for patient, network, probability in maps[["PATIENT", "network", "probability"]].to_numpy():
        assert probability == predicted[network][patient]

    place = out / "A" / "A-1"
    patches = pd.read_csv(place / "patches.csv")
    assert len(patches) == 48
    margin = patches["student:positive"].sum() - patches["student:negative"].sum()
    assert np.isfinite(margin)
    for network in ("student", "multimodal"):
        own, average = f"{network}:positive", f"{network}:positive against average"
        weight = patches[f"{network}:attention"]
        # What the average patch says, times a patch's attention, is the difference of the two.
        np.testing.assert_allclose(
            patches[own] - patches[average], weight * (patches[own] - patches[average]).sum()
        )
        assert np.ptp(patches[average]) > 0
    read = json.loads((place / "student.geojson").read_text())
    assert read["features"][9]["geometry"]["coordinates"][0][0] == [SIDE, SIDE]
    for name in ("student.png", "multimodal.png", "student-patches.png", "maps.ome.tiff"):
        assert (place / name).stat().st_size > 0
    with Image.open(place / "student.png") as picture:
        pixels = np.asarray(picture)[:600, : min(picture.size[0], 1000)].astype(int)
        assert np.ptp(pixels, axis=2).max() > 40  # painted
    with Image.open(out / "B" / "B-1" / "student.png") as picture:
        assert np.ptp(np.asarray(picture).astype(int), axis=2).max() == 0  # not painted


def test_finished_patients_are_not_made_again_and_others_are_refused(
    model: Path, features: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    assert explain(model, features, out, "--patient", "A").exit_code == 0
    picture = out / "A" / "A-1" / "student.png"
    made = picture.stat().st_mtime_ns
    assert explain(model, features, out).exit_code == 0
    assert picture.stat().st_mtime_ns == made
    assert (out / "B" / "B-1" / "student.png").exists()
    bundle(*bundle().members * 2).save(tmp_path / "other")
    refused = explain(tmp_path / "other", features, out)
    assert refused.exit_code == 1
    assert "maps of another model" in refused.output


def written_genes(folder: Path) -> Path:
    """Genes of two patients without one that the bundle reads; B has few of the others."""
    genes = expression(["A", "B"]).drop(columns="GENE3")
    genes.loc["B", genes.columns[:12]] = np.nan
    genes.rename_axis("PATIENT").reset_index().to_csv(folder / "genes.csv", index=False)
    return folder / "genes.csv"


@pytest.mark.parametrize("allowed", [0.2, 0.9])
def test_genes_that_are_absent_are_imputed_as_predict_does(
    model: Path, features: Path, tmp_path: Path, allowed: float
) -> None:
    genes = written_genes(tmp_path)
    out, answers = tmp_path / "maps", tmp_path / "answers.csv"
    words = ["--genomics", f"mrna={genes}", "--max-missing-genes", allowed, "--no-check-scale"]
    said = explain(model, features, out, *words)
    assert said.exit_code == 0, said.output
    assert "1 of 20 genes are absent and were imputed: GENE3" in " ".join(said.output.split())
    paired = [f"{p}-1.h5" for p in "AB"]
    assert [path.name for path in sorted(features.iterdir())] == paired
    own = ["--features", features, "--patient-pattern", "^(.)", "--out", answers]
    assert run("predict", model, *own, *words).exit_code == 0
    predicted = pd.read_csv(answers).set_index("PATIENT")
    maps = pd.read_csv(out / "maps.csv")
    read_by_both = {"A", "B"} if allowed > 0.2 else {"A"}
    assert set(maps["PATIENT"][maps["network"] == "multimodal"]) == read_by_both
    assert set(predicted.index[predicted["multimodal"].notna()]) == read_by_both
    for patient, network, probability in maps[["PATIENT", "network", "probability"]].to_numpy():
        assert probability == predicted[network][patient]


def test_a_threshold_of_ones_own_decides_the_call(
    model: Path, features: Path, tmp_path: Path
) -> None:
    for bound, called in ((0.0, "positive"), (1.0, "negative")):
        out = tmp_path / called
        assert explain(model, features, out, "--threshold", bound).exit_code == 0
        assert set(pd.read_csv(out / "maps.csv")["called"]) == {called}
    refused = explain(model, features, tmp_path / "positive", "--threshold", 0.5)
    assert "with other settings" in " ".join(refused.output.split())


def test_maps_without_genes_do_not_stand_for_maps_with_them(
    model: Path, features: Path, tmp_path: Path
) -> None:
    words = ["--no-check-scale", "--genomics", f"mrna={written_genes(tmp_path)}", "--patient", "A"]
    out = tmp_path / "maps"
    assert explain(model, features, out, "--patient", "A").exit_code == 0
    refused = explain(model, features, out, *words)
    assert refused.exit_code == 1
    assert "other slides or genes" in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--patient", "Z"], "nobody of this name has slides: Z"),
        (["--slide-mpp", "0.5"], "--slide-mpp has no effect without --slides"),
        (["--slides", ".", "--weights", "w.pt"], "--weights has no effect with --features"),
        (["--max-missing-genes", "0.5"], "--max-missing-genes has no effect without --genomics"),
    ],
)
def test_what_cannot_be_done_is_told(
    model: Path, features: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    said = explain(model, features, tmp_path / "maps", *arguments)
    assert said.exit_code == 1
    assert sentence in said.output


def test_a_slide_of_another_resolution_is_refused_before_anything(
    model: Path, features: Path, slides: Path, tmp_path: Path
) -> None:
    with Image.open(slides / "A-1.png") as whole:
        whole.resize((64, 48)).save(slides / "A-1.png")
    said = explain(model, features, tmp_path / "maps", "--slides", slides, "--slide-mpp", "0.5")
    assert said.exit_code == 1
    assert "its patches reach to 512 x 384 px" in " ".join(said.output.split())
    assert not (tmp_path / "maps").exists() or not list((tmp_path / "maps").iterdir())


def test_genes_and_programmes_are_drawn_measured_and_listed(
    features: Path, slides: Path, tmp_path: Path
) -> None:
    bundle(programme_member(), programme_member((1, 0, 2), (-1, 1, 1))).save(tmp_path / "model")
    out = tmp_path / "maps"
    said = explain(
        tmp_path / "model",
        features,
        out,
        *("--slides", slides, "--slide-mpp", "0.5"),
        *("--gene", "GATA3", "--gene", "cna:ERBB2"),
    )
    assert said.exit_code == 0, said.output
    assert "2 of 3 programmes of expression are drawn" in " ".join(said.output.split())
    layers = ["programme 1", "programme 2", "mrna:GATA3", "cna:ERBB2"]
    place = out / "A" / "A-1"
    patches = pd.read_csv(place / "patches.csv")
    collected = pd.read_csv(out / "expression.csv").set_index(["PATIENT", "name"])
    measured = json.loads((place / "expression.geojson").read_text())["features"]
    for layer in layers:
        own = patches[layer].to_numpy()
        assert own.mean() == pytest.approx(collected.loc[("A", layer), "predicted"])
        read = [feature["properties"]["measurements"][layer] for feature in measured]
        np.testing.assert_allclose(read, own)
    assert len(list(place.glob("mrna-GATA3*.png"))) == 1
    assert len(list(place.glob("cna-ERBB2*.png"))) == 1
    assert (place / "programmes.png").exists()
    with tifffile.TiffFile(place / "maps.ome.tiff") as file:
        assert file.ome_metadata is not None
        assert all(f'Name="{layer}"' in file.ome_metadata for layer in layers)
    listed = pd.read_csv(out / "predictability.csv").set_index("name")
    assert listed.loc["mrna:MKI67", "shown"] == np.False_


def test_a_gene_that_slides_do_not_tell_is_refused_before_anything(
    features: Path, tmp_path: Path
) -> None:
    bundle(programme_member()).save(tmp_path / "model")
    said = explain(tmp_path / "model", features, tmp_path / "maps", "--gene", "MKI67")
    assert said.exit_code == 1
    assert "r = 0.02 [" in said.output
    assert not (tmp_path / "maps").exists()


def test_three_classes_have_the_probabilities_that_predict_gives(
    features: Path, tmp_path: Path
) -> None:
    own = bundle(member(classes=3), classes=("low", "middle", "high"))
    own.save(tmp_path / "model")
    out = tmp_path / "maps"
    assert explain(tmp_path / "model", features, out).exit_code == 0
    maps = pd.read_csv(out / "maps.csv").set_index("PATIENT")
    bags = open_bags({p: [features / f"{p}-1.h5"] for p in "AB"})
    predicted = predict(Bundle.load(tmp_path / "model"), bags=bags).table.set_index("PATIENT")
    assert maps["called"].tolist() == predicted["call"].tolist() == maps["class"].tolist()
    for patient, called in zip("AB", maps["called"], strict=True):
        assert maps["probability"][patient] == predicted[f"student:{called}"][patient]
    patches = pd.read_csv(out / "A" / "A-1" / "patches.csv")
    assert {"student:low", "student:middle", "student:high"} <= set(patches.columns)
