"""An experiment file: what it may say, and what is said of a wrong one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from histodistill.errors import InputError
from histodistill.experiment import read_experiment
from histodistill.experiment.recipes import recipes
from histodistill.simulation import SimulationSettings, read_settings
from histodistill.simulation.tiles.settings import TileSettings
from tests.experiment.small import experiment_file

# A second block of genes, which some recipes name.
COPY_NUMBER = {"genomics": {"cna": {"file": "cohort/cna.txt"}}}


def problems_of(path: Path) -> list[str]:
    """What is wrong with a file, less the file's name."""
    with pytest.raises(InputError) as refused:
        read_experiment(path)
    assert all(problem.startswith(f"{path}: ") for problem in refused.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in refused.value.problems]


def test_the_defaults_are_the_papers(tmp_path):
    path = experiment_file(tmp_path, {"training": None, "methods": {"mkd": {"network": None}}})
    raw = yaml.safe_load(path.read_text())
    raw["methods"] = ["mkd"]
    path.write_text(yaml.safe_dump(raw))
    method = read_experiment(path).methods["mkd"]
    assert method.network.networks == ("student", "multimodal", "genomic")
    assert (method.network.width, method.network.token_size) == (256, 512)
    assert method.network.fusion == "bilinear"
    training = method.training
    assert (training.learning_rate, training.weight_decay) == (2e-4, 1e-5)
    assert (training.max_epochs, training.cosine_epochs, training.patience) == (100, 50, 5)
    assert (training.batch_size, training.balanced) == (16, True)
    assert not training.offline
    assert method.objective.temperature == 4
    assert method.objective.distillation == {}
    assert method.objective.teachers == ("multimodal", "genomic")
    terms = ("cross_entropy", "orthogonality", "alignment", "similarity", "collaboration")
    assert [getattr(method.objective, term) for term in terms] == [1.0] * 5


def test_teachers_that_are_trained_first_may_be_optimised_otherwise(tmp_path):
    changes = {
        "training": {"patience": 7},
        "methods": {
            "kd-offline": {
                "training": {"weight_decay": 0.1},
                "teacher_training": {"weight_decay": 0.01},
            }
        },
    }
    method = read_experiment(experiment_file(tmp_path, changes)).methods["kd-offline"]
    assert method.taught_offline
    assert method.teacher_training is not None
    assert (method.training.weight_decay, method.training.patience) == (0.1, 7)
    assert (method.teacher_training.weight_decay, method.teacher_training.patience) == (0.01, 7)
    tuned = method.tuned(1e-2, 1e-3)
    assert (tuned.training.learning_rate, tuned.training.weight_decay) == (1e-2, 1e-3)
    assert tuned.teacher_training == method.teacher_training


def test_a_method_without_a_student_or_a_teacher_is_never_taught_offline(tmp_path):
    changes = {"training": {"offline": True}, "methods": {"genomic": {}, "kd": {}}}
    methods = read_experiment(experiment_file(tmp_path, changes)).methods
    assert {name: method.taught_offline for name, method in methods.items()} == {
        "abmil": False,
        "mkd": True,
        "genomic": False,
        "kd": True,
    }


def test_a_method_may_have_seeds_of_its_own(tmp_path):
    changes = {"seeds": [0, 1, 2], "methods": {"mkd": {"seeds": [5]}}}
    experiment = read_experiment(experiment_file(tmp_path, changes))
    assert experiment.seeds_of("abmil") == (0, 1, 2)
    assert experiment.seeds_of("mkd") == (5,)


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_is_a_line(tmp_path, recipe):
    path = experiment_file(tmp_path, COPY_NUMBER)
    raw = yaml.safe_load(path.read_text()) | {"methods": [recipe]}
    path.write_text(yaml.safe_dump(raw))
    assert read_experiment(path).methods[recipe].recipe == recipe


def test_the_readmes_and_examples_files_are_valid():
    root = Path(__file__).parents[2]
    files = [*root.glob("examples/*.yaml"), *root.glob("experiments/*.yaml")]
    assert files
    for path in files:
        assert read_experiment(path).name
    cohorts = [*root.glob("examples/simulation/*.yaml")]
    assert cohorts
    for path in cohorts:
        kind = TileSettings if path.stem == "tiles" else SimulationSettings
        assert read_settings(path, {}, kind).n_patients


def test_a_methods_own_settings_win_over_the_experiments_and_these_over_the_recipes(tmp_path):
    path = experiment_file(
        tmp_path,
        {
            "training": {"monitor": "student_auc", "patience": 7, "learning_rate": "1e-3"},
            "methods": {
                "genomic": {"training": {"monitor": "genomic_auc"}},
                "mkd-no-similarity": {},
                "strong": {
                    "recipe": "mkd",
                    "training": {"patience": 9},
                    "objective": {"alignment": 0.5},
                },
            },
        },
    )
    methods = read_experiment(path).methods
    assert methods["genomic"].training.monitor == "genomic_auc"
    assert methods["genomic"].training.patience == 7
    assert methods["mkd-no-similarity"].objective.similarity == 0
    assert methods["mkd-no-similarity"].training.monitor == "student_auc"
    assert methods["strong"].training.patience == 9
    assert methods["strong"].training.learning_rate == 1e-3
    assert methods["strong"].objective.alignment == 0.5
    assert methods["strong"].objective.similarity == 1
    # The experiment's own training stands above a recipe's.
    shared = experiment_file(
        tmp_path, {"training": {"monitor": "loss"}, "methods": {"genomic": {}}}
    )
    assert recipes()["genomic"].changes["training"] == {"monitor": "genomic_loss"}
    assert read_experiment(shared).methods["genomic"].training.monitor == "loss"


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    path = experiment_file(tmp_path, {"splits": {"scheme": "files", "directory": "folds/{target}"}})
    monkeypatch.chdir("/")
    experiment = read_experiment(path)
    assert experiment.cohort.clinical == tmp_path / "cohort" / "clinical.csv"
    assert experiment.cohort.slides == tmp_path / "cohort" / "slides.csv"
    assert experiment.features is not None
    assert experiment.features.directory == tmp_path / "cohort" / "features"
    assert experiment.genomics["mrna"].file == tmp_path / "cohort" / "mrna_zscores.txt"
    assert experiment.splits.directory == str(tmp_path / "folds" / "{target}")
    assert experiment.output == tmp_path / "results"


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = experiment_file(
        tmp_path,
        {"output": "~/run", "splits": {"scheme": "files", "directory": "~/folds"}},
    )
    experiment = read_experiment(path)
    assert experiment.output == tmp_path / "home" / "run"
    assert experiment.splits.directory == str(tmp_path / "home" / "folds")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"colour": 1}, "colour: unknown key; did you mean cohort?"),
        ({"cohort": {"sites": "x"}}, "cohort.sites: unknown key; did you mean slides?"),
        (
            {"genomics": {"mrna": {"selection": {"top": 3}}}},
            "genomics.mrna.selection.top: unknown key; known are method, n_genes, genes, exclude",
        ),
        (
            {"training": {"epochs": 1}},
            "training.epochs: unknown key; did you mean max_epochs or cosine_epochs or patches?",
        ),
        (
            {"methods": {"mkd": {"training": {"learning-rate": 1}}}},
            "methods.mkd.training.learning-rate: unknown key; did you mean learning_rate?",
        ),
        (
            {"methods": {"mkd": {"loss": {}}}},
            "methods.mkd.loss: unknown key; known are recipe, network, objective, training, "
            "teacher_training, seeds",
        ),
        (
            {"methods": {"joint": {"recipe": "mkd", "training": {"learning-rate": 1}}}},
            "methods.joint.training.learning-rate: unknown key; did you mean learning_rate?",
        ),
        (
            {"targets": {"map": {"classes": ["a", "b"], "positive": "b", "colum": "x"}}},
            "targets.map.colum: unknown key; did you mean column?",
        ),
        ({"output": None}, "output: is missing"),
        ({"cohort": {"clinical": 5}}, "cohort.clinical: must be a path, not 5"),
        ({"cohort": 5}, "cohort: must be a mapping of settings, not 5"),
        ({"seeds": 3}, "seeds: must be a list, not 3"),
        ({"seeds": [1, 1]}, "seeds: a seed is named twice"),
        ({"seeds": []}, "seeds: must not be empty"),
        ({"methods": 3}, "methods: must be a mapping, not 3"),
        ({"methods": {"mkd": 3}}, "methods.mkd: must be a mapping of settings, not 3"),
        (
            {"methods": {"mkdd": {}}},
            "methods.mkdd.recipe: unknown recipe 'mkdd'; did you mean mkd",
        ),
        (
            {"methods": {"quite-else": {}}},
            "methods.quite-else.recipe: unknown recipe 'quite-else'; `histodistill suite "
            "--list-methods` lists all",
        ),
        ({"methods": {"mkd": {"seeds": [1, 1]}}}, "methods.mkd.seeds: a seed is named twice"),
        ({"methods": {"mkd": {"seeds": []}}}, "methods.mkd.seeds: must not be empty"),
        (
            {"methods": {"kd-offline": {"training": {"monitor": "genomic_auc"}}}},
            "methods.kd-offline: `monitor: genomic_auc` with `offline: true`: each teacher is "
            "stopped by its own loss; monitor student_loss or student_auc",
        ),
        ({"tuning": {"learning_rates": []}}, "tuning.learning_rates: must not be empty"),
        ({"tuning": {"sampler": "guess"}}, "tuning.sampler: must be 'grid' or 'tpe'"),
        ({"methods": {"my method": {"recipe": "mkd"}}}, "instead of my method"),
        (
            {"methods": {"baselines": {"recipe": "mkd"}}},
            "but not `baselines`), instead of baselines",
        ),
        (
            {"genomics": {"m.rna": {"file": "x"}}},
            "genomics: use letters, digits and _ + - in names",
        ),
        (
            {"training": {"batch_size": 1}},
            "training.batch_size: must be greater than or equal to 2, not 1",
        ),
        ({"training": 4}, "training: must be a mapping of settings, not 4"),
        ({"training": {"monitor": "auc"}}, "training.monitor: String should match pattern"),
        (
            {"methods": {"abmil": {"training": {"monitor": "genomic_auc"}}}},
            "methods.abmil: `monitor: genomic_auc` names a network that is not trained; "
            "trained are student",
        ),
        (
            {"cohort": {"survival": None}, "genomics": {"mrna": {"selection": {"method": "cox"}}}},
            "genomics.mrna: selection by Cox p-value needs `cohort.survival`",
        ),
        ({"features": None}, "method abmil reads slides: give `features`"),
        ({"features": None}, "method mkd reads slides: give `features`"),
        ({"genomics": None}, "method mkd reads genes: give `genomics`"),
        ({"genomics": None, "methods": {"ghanet": {}}}, "method ghanet reads genes: give `genom"),
        (
            {"methods": {"gmkdn": {}}},
            "method gmkdn: `network.blocks` names cna, not in `genomics`",
        ),
        (
            {"methods": {"genomic": {"objective": {"reconstruction": 1}}}},
            "methods.genomic: `objective.reconstruction` needs a student",
        ),
        (
            {"methods": {"abmil": {"objective": {"group_reconstruction": 1}}}},
            "methods.abmil: `objective.group_reconstruction` needs the student `ghanet`",
        ),
        (
            {"methods": {"ghanet": {"objective": {"memory_alignment": 1}}}},
            "methods.ghanet: `objective.memory_alignment` needs the student `momkd`",
        ),
        (
            {"splits": {"scheme": "sites"}},
            "splits.scheme: must be 'stratified', 'site', 'files' or",
        ),
        (
            {"splits": {"scheme": "files"}},
            "`directory` goes with `scheme: files`, and only with it",
        ),
        ({"splits": {"directory": "x"}}, "`directory` goes with `scheme: files`, and only with it"),
        ({"splits": {"scheme": "external"}}, "`external_sites` goes with `scheme: external`"),
        ({"splits": {"external_sites": ["A"]}}, "`external_sites` goes with `scheme: external`"),
        ({"splits": {"folds": 1}}, "splits.folds: must be greater than or equal to 2, not 1"),
        ({"splits": {"validation": 1}}, "splits.validation: must be less than 1, not 1"),
        (
            {"targets": {"ER": {"classes": ["a"]}}},
            "targets.ER.classes: declare two or more",
        ),
        (
            {"targets": {"ER": {"classes": ["a", "a"]}}},
            "targets.ER.classes: declare two",
        ),
        (
            {"targets": {"ER": {"positive": "x"}}},
            "`positive` must say which of its classes",
        ),
        (
            {"targets": {"ER": {"classes": ["a", "b", "c"]}}},
            "targets.ER: only a target of two classes has a positive one",
        ),
        (
            {"targets": {"ER": {"classes": [0, 1], "positive": 1}}},
            "targets.ER.classes.0: 0 is not text; write it in quotes",
        ),
        (
            {"targets": {"ER": {"classes": [False, True]}}},
            "targets.ER.classes.0: False is not text; write it in quotes",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, changes, expected):
    found = problems_of(experiment_file(tmp_path, changes))
    assert any(expected in problem for problem in found), found


def test_all_problems_are_told_at_once_and_what_methods_share_only_once(tmp_path):
    path = experiment_file(
        tmp_path,
        {
            "colour": "red",
            "training": {"patience": 0},
            "methods": {"other": {"recipe": "none"}, "mkd": {"training": {"batch_size": 0}}},
            "splits": {"folds": 0},
            "seeds": [-1],
        },
    )
    found = problems_of(path)
    places = [problem.partition(":")[0] for problem in found]
    assert sorted(places) == [
        "colour",
        "methods.mkd.training.batch_size",
        "methods.other.recipe",
        "seeds.0",
        "splits.folds",
        "training.patience",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "cannot be read as YAML: line 1, column 6: expected ',' or ']'"),
        ("name: x\nb: c: d", "cannot be read as YAML: line 2, column 5: mapping values"),
        ("- a\n- b", "must be a mapping of settings"),
        ("", "must be a mapping of settings"),
    ],
)
def test_text_that_is_no_experiment(tmp_path, text, expected):
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    (found,) = problems_of(path)
    assert found.startswith(expected)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    (found,) = problems_of(path)
    assert found.startswith("cannot be read as YAML: 'utf-8' codec can't decode")


def test_files_that_are_not_there(tmp_path):
    assert problems_of(tmp_path / "absent.yaml") == ["no such file"]
    assert "cannot be read as YAML" in problems_of(tmp_path)[0]


def test_yaml_runs_no_code(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("name: !!python/object/apply:os.mkdir [ran]")
    (found,) = problems_of(path)
    assert "could not determine a constructor" in found


def test_recipes_differ_from_each_other(tmp_path):
    path = experiment_file(tmp_path, {"training": None} | COPY_NUMBER)
    raw = yaml.safe_load(path.read_text()) | {"methods": list(recipes())}
    path.write_text(yaml.safe_dump(raw))
    methods = read_experiment(path).methods
    for one, other in itertools.combinations(recipes(), 2):
        ours = methods[one].model_dump(exclude={"recipe"})
        assert ours != methods[other].model_dump(exclude={"recipe"}), (one, other)
