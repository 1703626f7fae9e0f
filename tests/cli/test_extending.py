"""What docs/extending.md says of parts from outside the package, done word by word."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from histodistill import cross_validate, load, read_experiment
from histodistill.deploy import Bundle
from histodistill.errors import InputError
from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, experiment_file

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text(encoding="utf-8")
STUDENT = "my_package.heads:TopK"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def methods() -> dict[str, Any]:
    """The methods of the page, with small networks."""
    found: dict[str, Any] = {}
    for block in blocks("yaml"):
        found |= yaml.safe_load(block).get("methods", {})
    for method in found.values():
        method["network"] = method.get("network", {}) | NETWORK
        method["training"] = {"max_epochs": 1, "device": "cpu"}
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package that the page writes, where Python looks; forgotten afterwards."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_package").mkdir()
    (folder / "my_package/__init__.py").touch()
    for block in blocks("python"):
        if named := re.match(r"# (my_package/\w+\.py)\n", block):
            (folder / named[1]).write_text(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def finished(package: Path, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiment of all the page's methods, cross-validated by two processes."""
    folder = tmp_path_factory.mktemp("extended")
    (folder / "cohort").symlink_to(template)
    own = methods()
    own["topk"]["training"]["members"] = 2
    own["taught"] = {
        "recipe": "kd",
        "network": own["topk"]["network"],
        "objective": own["variance"]["objective"],
        "training": {"max_epochs": 1, "device": "cpu", "offline": True},
    }
    changes = {
        "methods": {"abmil": None, "mkd": None, **own},
        "features": {"cache": "packed"},
        "baselines": ["my_package.baselines:Prior"],
    }
    succeed("crossval", experiment_file(folder, changes), "--jobs", "2")
    return folder


def test_every_method_of_the_page_is_trained(finished: Path) -> None:
    predictions = pd.read_csv(finished / "results/predictions.csv")
    assert set(predictions["method"]) == {*methods(), "taught", "Prior-mrna"}
    students = predictions[predictions["method"] != "Prior-mrna"]
    assert students.groupby("method")["student"].apply(lambda p: p.notna().all()).all()
    plain = predictions[predictions["method"] == "plain"]
    assert plain["multimodal"].notna().any()
    assert plain["genomic"].notna().any()


def test_a_finished_run_is_kept(finished: Path) -> None:
    weights = sorted(finished.rglob("networks.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    assert before
    experiment = read_experiment(finished / "experiment.yaml")
    cross_validate(experiment, load(experiment))
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_packed_bags_were_read(finished: Path) -> None:
    assert any((finished / "packed").rglob("*"))


def test_the_options_arrive(finished: Path) -> None:
    place = finished / "results/fits/ER/topk/seed-0/repeat-0-fold-0/model"
    student = Bundle.load(place, allow=[STUDENT]).members[0].networks.student
    assert type(student).__name__ == "TopK"
    assert student is not None
    assert vars(student)["k"] == 2


def test_the_loss_reaches_the_curves(finished: Path) -> None:
    place = finished / "results/fits/ER/variance/seed-0/repeat-0-fold-0"
    curves = next(place.rglob("curves.jsonl")).read_text()
    assert "my_package.losses:MatchedVariance_multimodal" in curves


def test_a_bundle_does_not_decide_what_code_is_run(finished: Path) -> None:
    place = finished / "results/fits/ER/topk/seed-0/repeat-0-fold-0/model"
    out = finished / "answers.csv"
    slides = ("--features", finished / "cohort/features")
    table = ("--slides-table", finished / "cohort/slides.csv")
    words = ("predict", place, *slides, *table, "--out", out)
    problems = fail(*words)
    assert len(problems) == 1
    assert f"the model is made of `{STUDENT}`" in problems[0]
    assert f"--allow {STUDENT}" in problems[0]
    assert not out.exists()
    problems = fail(*words, "--allow", "os:system")
    assert f"--allow {STUDENT}" in problems[0]
    succeed(*words, "--allow", STUDENT)
    assert pd.read_csv(out)["student"].notna().all()


def test_a_bundle_whose_package_is_not_installed(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = finished / "results/fits/ER/topk/seed-0/repeat-0-fold-0/model"
    monkeypatch.setitem(sys.modules, "my_package.heads", None)
    with pytest.raises(InputError, match="cannot be imported: ModuleNotFoundError"):
        Bundle.load(place, allow=[STUDENT])


def test_the_models_of_a_finished_run_become_one(finished: Path) -> None:
    out = finished / "ensemble"
    words = ("--target", "ER", "--method", "topk", "--ensemble", "--out", out)
    succeed("train", finished / "experiment.yaml", *words)
    assert len(Bundle.load(out, allow=[STUDENT]).members) == 4


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"student": "my_package.heads:TopL"}, "cannot be imported: AttributeError"),
        ({"student": "torch.nn:Linear"}, "is not a subclass of histodistill.model.students.base"),
        ({"student": "topk"}, "unknown student 'topk', here and in installed packages"),
        ({"student": STUDENT, "student_options": {"m": 2}}, "has no option `m`; its options are k"),
        ({"student_options": {"m": 2}}, "student `abmil` has no option `m`; it has none"),
    ],
)
def test_what_cannot_be_is_refused_at_the_audit(
    package: Path, template: Path, tmp_path: Path, network: dict[str, Any], message: str
) -> None:
    (tmp_path / "cohort").symlink_to(template)
    own = {"recipe": "abmil", "network": network}
    path = experiment_file(tmp_path, {"methods": {"mkd": None, "abmil": None, "own": own}})
    assert message in "\n".join(fail("audit", path))
