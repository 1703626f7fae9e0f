"""What docs/extending.md says of parts from outside the package, done word by word."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn.metrics import fbeta_score

from histodistill import cross_validate, load, read_experiment
from histodistill.deploy import Bundle
from histodistill.deploy.checksums import write_checksums
from histodistill.errors import InputError
from histodistill.evaluation import with_standard
from histodistill.model import NetworkSettings
from histodistill.report import write_leaderboard
from tests.cli.command_line import fail, succeed
from tests.evaluation.simulated import three_class, two_class
from tests.experiment.small import NETWORK, experiment_file

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text(encoding="utf-8")
STUDENT = "my_package.heads:TopK"
METRIC = "my_package.metrics:f2"


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


def metrics() -> list[str]:
    """The metrics of the page."""
    return [name for block in blocks("yaml") for name in yaml.safe_load(block).get("metrics", [])]


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
    """A folder with the experiment of all the page's methods, cross-validated."""
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
        "metrics": metrics(),
    }
    succeed("crossval", experiment_file(folder, changes))
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


def test_a_suite_ranks_parts_of_the_users_own(finished: Path) -> None:
    told = succeed("suite", finished / "experiment.yaml").stdout
    results = pd.read_csv(finished / "results/leaderboard/results.csv")
    assert {*methods(), "taught", "Prior-mrna"} <= set(results["method"])
    own = results[results["method"].isin(methods())]
    assert own["parameters"].notna().all()
    assert METRIC in results.columns
    assert "taught" in told


def test_the_metric_of_the_page_is_reported(finished: Path) -> None:
    summary = pd.read_csv(finished / "results/report/tables/summary.csv")
    own = summary[summary["metric"] == METRIC]
    assert metrics() == [METRIC]
    assert len(own) == len(summary[summary["metric"] == "f1"])
    assert "<th>F2</th>" in (finished / "results/report/report.html").read_text()


def test_a_metric_is_evaluated_for_two_classes_and_for_more(package: Path, tmp_path: Path) -> None:
    table = pd.concat([two_class(), three_class()])
    table.to_csv(tmp_path / "p.csv", index=False)
    succeed("evaluate", tmp_path / "p.csv", "--out", tmp_path / "e", "--metric", METRIC)
    summary = pd.read_csv(tmp_path / "e/tables/summary.csv")
    own = summary[summary["metric"] == METRIC].set_index(["target", "method"])
    y = table[(table["target"] == "ER") & (table["method"] == "mkd")]
    expected = fbeta_score(y["label"] == "positive", y["student"] >= 0.5, beta=2)
    assert own["estimate"]["ER", "mkd"] == pytest.approx(expected)
    assert (own["low"] < own["estimate"]).all()
    each = summary[summary["metric"].str.startswith(f"{METRIC}:")]
    assert own["estimate"]["PAM50", "mkd"] == pytest.approx(each["estimate"].mean())
    assert "| F2 |" in (tmp_path / "e/tables/classes-PAM50.md").read_text().replace("Class", "")


def test_the_metric_has_its_column_in_the_leaderboard(package: Path, tmp_path: Path) -> None:
    page = write_leaderboard(two_class(), None, tmp_path, metrics=with_standard([METRIC]))
    assert METRIC in pd.read_csv(tmp_path / "results.csv").columns
    assert "<th>ER, F2</th>" in page.read_text()


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("unknown", "", "unknown metric 'unknown'"),
        ("my_package.broken:lost", "", "cannot be imported: AttributeError"),
        ("my_package.broken:fails", "1 / 0", "fails: ZeroDivisionError: division by zero"),
        ("my_package.broken:flat", "0.5", "gives an array of shape [] for weights of shape [3, 4]"),
        (
            "my_package.broken:wild",
            "weights.sum(axis=1) * 7",
            "gives 28, outside of its bounds 0 to 1",
        ),
    ],
)
def test_a_metric_that_cannot_be_is_refused_first(
    package: Path, tmp_path: Path, name: str, body: str, message: str
) -> None:
    declared = '@METRICS.declare("x", bounds=(0, 1))'
    defined = f"def {name.partition(':')[2]}(answers, weights): return {body}"
    source = f"from histodistill.evaluation import METRICS\n{declared}\n{defined}\n" if body else ""
    (package / "my_package/broken.py").write_text(source)
    sys.modules.pop("my_package.broken", None)
    two_class().to_csv(tmp_path / "p.csv", index=False)
    (problem,) = fail("evaluate", tmp_path / "p.csv", "--out", tmp_path / "e", "--metric", name)
    assert message in problem
    assert not (tmp_path / "e").exists()


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
        (
            {"student": STUDENT, "student_options": {"k": "two"}},
            "its option `k` must be a valid integer, not 'two'",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_the_audit(
    package: Path, template: Path, tmp_path: Path, network: dict[str, Any], message: str
) -> None:
    (tmp_path / "cohort").symlink_to(template)
    own = {"recipe": "abmil", "network": network}
    path = experiment_file(tmp_path, {"methods": {"mkd": None, "abmil": None, "own": own}})
    assert message in "\n".join(fail("audit", path))


def broken(package: Path, module: str, name: str, body: str) -> str:
    """A copy of a module of the page in which one method is another; its new import path.

    Args:
        package: Where the page's package is.
        module: The module that is copied.
        name: The method that is replaced, the last of its class.
        body: What it does instead, a line.
    """
    head, found, rest = (package / f"my_package/{module}.py").read_text().partition(f"def {name}(")
    assert found
    signature, _, after = rest.partition(":\n")
    behind = re.search(r"\n    (?=\S)", after)
    kept = after[behind.start() :] if behind else ""
    copy = f"broken_{abs(hash((module, body)))}"
    path = package / f"my_package/{copy}.py"
    path.write_text(f"{head}def {name}({signature}:\n        {body}\n{kept}")
    return f"my_package.{copy}"


def line_of(package: Path, module: str, text: str) -> str:
    """File and line, as messages write them, of some text in a module."""
    path = package / (module.replace(".", "/") + ".py")
    (line,) = [n for n, own in enumerate(path.read_text().splitlines(), 1) if text in own]
    return f"{path}, line {line}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no pooling')", "fails: ValueError: no pooling"),
        (
            "f = torch.stack([b.mean(0) for b in bags.split()]); return Output(f, f, bags.rows)",
            "student gives logits [3, 8] and not [3, 2]",
        ),
        ("return torch.zeros(3)", "student gives a Tensor and not an Output"),
        (
            "bags = torch.stack(bags.split()); return Output(bags, bags, bags)",
            "RuntimeError: stack expects each tensor to be equal size",
        ),
        (
            "x = torch.zeros(4, 8); return Output(x, x[:, :2], torch.arange(4))",
            "student answers the rows [0, 1, 2, 3] and not [0, 1, 2]",
        ),
        (
            "x = torch.zeros(len(bags.sizes), 9); return Output(x, x[:, :2], bags.rows)",
            "student gives features [3, 9] and not [3, 8]",
        ),
        (
            "x = torch.zeros(len(bags.sizes), 8); return Output(x, x[:, :2], bags.rows)",
            "no term of the loss has a gradient",
        ),
        (
            "x = self.hidden(bags.patches[:len(bags.sizes)]); labels.sum(); "
            "return Output(x, self.classifier(x), bags.rows)",
            "AttributeError: 'NoneType' object has no attribute 'sum'",
        ),
    ],
)
def test_a_network_that_cannot_train_is_refused_at_the_audit(
    package: Path, template: Path, tmp_path: Path, body: str, message: str
) -> None:
    module = broken(package, "heads", "forward", body)
    (tmp_path / "cohort").symlink_to(template)
    own = {"recipe": "abmil", "network": {"student": f"{module}:TopK", **NETWORK}}
    path = experiment_file(tmp_path, {"methods": {"mkd": None, "abmil": None, "own": own}})
    (problem,) = fail("audit", path)
    assert problem.startswith(f"methods.own: student `{module}:TopK`: a step of training on toy")
    assert message in problem
    assert ("Error: " in message) == (line_of(package, module, body) in problem)


@pytest.mark.parametrize(
    ("module", "name", "body", "message"),
    [
        ("losses", "forward", "return student.feature.mean()", "AttributeError: 'Output' object"),
        ("losses", "forward", "return (student.features - teacher.features) ** 2", "is [2, 8] and"),
        ("losses", "forward", "return student.features.mean() / 0", "is inf"),
        ("terms", "loss", "return self.heads(student.features)", "AttributeError: 'MeanExp"),
        ("terms", "loss", "return 1.0", "is float and not a number"),
    ],
)
def test_a_loss_that_cannot_train_is_refused_at_the_audit(
    package: Path, template: Path, tmp_path: Path, module: str, name: str, body: str, message: str
) -> None:
    where = broken(package, module, name, body)
    part = f"{where}:{'MatchedVariance' if module == 'losses' else 'MeanExpression'}"
    kind = "distillation" if module == "losses" else "from_genes"
    own = {
        "recipe": "kd" if module == "losses" else "abmil",
        "network": NETWORK,
        "objective": {kind: {part: 1.0}},
    }
    (tmp_path / "cohort").symlink_to(template)
    path = experiment_file(tmp_path, {"methods": {"mkd": None, "abmil": None, "own": own}})
    (problem,) = fail("audit", path)
    assert problem.startswith("methods.own: ")
    assert f"`{part}`" in problem
    assert message in problem
    if "Error: " in message:
        assert line_of(package, where, body) in problem


def test_a_loss_whose_method_is_misspelt_is_refused_before_anything_is_trained(
    package: Path, template: Path, tmp_path: Path
) -> None:
    source = (package / "my_package/losses.py").read_text()
    (package / "my_package/misspelt.py").write_text(source.replace("forward(", "forwards("))
    part = "my_package.misspelt:MatchedVariance"
    own = {"recipe": "kd", "network": NETWORK, "objective": {"distillation": {part: 1.0}}}
    (tmp_path / "cohort").symlink_to(template)
    path = experiment_file(tmp_path, {"methods": {"abmil": None, "own": own}})
    (problem,) = fail("suite", path)
    assert f"`{part}`: a step of training on toy patients fails: NotImplementedError" in problem
    assert line_of(package, "my_package.misspelt", "class MatchedVariance") in problem
    words = ("--target", "ER", "--method", "own", "--out", tmp_path / "model")
    assert fail("train", path, *words) == [problem]
    assert not (tmp_path / "results/fits").exists()


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("fit", "self.share = np.bincount(y)", "`fit` gives a NoneType and not the baseline"),
        ("fit", "self.n = len(y).sum(); return self", "AttributeError: 'int' object has no"),
        ("predict_proba", "return self.shares", "`predict_proba` gives [2] and not [3, 2]"),
        ("predict_proba", "return np.ones((len(x), 2))", "gives no probabilities"),
    ],
)
def test_a_baseline_that_cannot_be_fitted_is_refused_before_anything_is_trained(
    package: Path, template: Path, tmp_path: Path, name: str, body: str, message: str
) -> None:
    part = f"{broken(package, 'baselines', name, body)}:Prior"
    (tmp_path / "cohort").symlink_to(template)
    path = experiment_file(tmp_path, {"baselines": ["logistic-slides", part]})
    (problem,) = fail("audit", path)
    assert problem.startswith(f"baselines: baseline `{part}`: fitted on toy patients, it fails: ")
    assert message in problem
    if "Error" in message:
        assert line_of(package, part.partition(":")[0], body) in problem
    assert fail("crossval", path) == [problem]
    assert not list((tmp_path / "results").glob("fits"))


def test_a_baseline_that_reads_genes_is_told_their_names(
    package: Path, template: Path, tmp_path: Path
) -> None:
    source = (package / "my_package/baselines.py").read_text()
    declared = source.replace(
        "class Prior:",
        "from histodistill.baselines import BASELINES\n\n\n"
        '@BASELINES.declare("named", reads="genes")\nclass Named:',
    )
    told = declared.replace("self, *, n_classes", "self, names, *, n_classes").replace(
        "self.n_classes = n_classes", 'self.n_classes, _ = n_classes, names.index("GENE0")'
    )
    (package / "my_package/named.py").write_text(told)
    (tmp_path / "cohort").symlink_to(template)
    gene = pd.read_csv(template / "mrna_zscores.txt", sep="\t")["Hugo_Symbol"][0]
    (package / "my_package/named.py").write_text(told.replace("GENE0", gene))
    path = experiment_file(tmp_path, {"baselines": ["my_package.named:Named"], "methods": ["mkd"]})
    assert "Named-mrna" in succeed("crossval", path).stdout


def test_what_cannot_be_imported_is_told_with_all_the_rest(template: Path, tmp_path: Path) -> None:
    (tmp_path / "cohort").symlink_to(template)
    own = {"recipe": "abmil", "network": {"student": "nowhere.heads:TopK"}}
    changes = {
        "methods": {"mkd": None, "abmil": None, "own": own, "other": {"recipe": "nowhere:FAST"}},
        "baselines": ["nowhere.baselines:Prior"],
        "seeds": [-1],
    }
    path = experiment_file(tmp_path, changes)
    problems = fail("audit", path)
    assert all(problem.startswith(f"{path}: ") for problem in problems)
    told = "\n".join(problems)
    for part in ("student `nowhere.heads:TopK`", "recipe `nowhere:FAST`", "baseline `nowhere.b"):
        assert told.count(part) == 1
    assert told.count("cannot be imported: ModuleNotFoundError") == 3
    assert "seeds" in told


def test_a_part_that_is_not_used_needs_no_permission() -> None:
    used = NetworkSettings(networks=("student",), genomic="my_package.teachers:MeanToken")
    assert used.import_paths == ()


def test_a_bundle_whose_plugin_is_not_installed_names_its_package(
    finished: Path, tmp_path: Path
) -> None:
    place = finished / "results/fits/ER/topk/seed-0/repeat-0-fold-0/model"
    copied = Path(shutil.copytree(place, tmp_path / "model"))
    description = copied / "bundle.json"
    told = json.loads(description.read_text())
    assert told["info"]["provenance"]["packages"] == {STUDENT: "my_package"}
    told["info"]["provenance"]["packages"] = {"topk": "my-package 1.2"}
    for member in told["members"]:
        member["architecture"]["settings"]["student"] = "topk"
    description.write_text(json.dumps(told))
    (copied / "SHA256SUMS").unlink()
    write_checksums(copied)
    with pytest.raises(InputError, match=r"student `topk` of my-package 1\.2; install") as caught:
        Bundle.load(copied)
    assert "damaged" not in str(caught.value)


def test_a_plugin_that_fails_while_a_bundle_is_read_is_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NameError("its own bug")

    place = finished / "results/fits/ER/topk/seed-0/repeat-0-fold-0/model"
    module, _, name = STUDENT.partition(":")
    monkeypatch.setattr(getattr(importlib.import_module(module), name), "__init__", broken)
    with pytest.raises(InputError) as caught:
        Bundle.load(place, [STUDENT])
    told = str(caught.value)
    assert f"(with `{STUDENT}`) fails: NameError: its own bug ({__file__}, line " in told
    assert "damaged" not in told


def test_a_run_that_was_killed_goes_on(finished: Path) -> None:
    """What was finished is kept."""
    fits, answers = finished / "results/fits/ER", finished / "results/predictions.csv"
    before = pd.read_csv(answers)
    shutil.rmtree(fits / "topk")
    other = fits / "variance/seed-0/repeat-0-fold-1/model/bundle.json"
    kept = other.stat().st_mtime_ns
    succeed("crossval", finished / "experiment.yaml")
    assert other.stat().st_mtime_ns == kept
    pd.testing.assert_frame_equal(pd.read_csv(answers), before)


def test_a_final_model_of_an_own_student(finished: Path) -> None:
    out = finished / "final"
    words = ("--target", "ER", "--method", "topk", "--out", out)
    succeed("train", finished / "experiment.yaml", *words)
    assert len(Bundle.load(out, allow=[STUDENT]).members) == 2
