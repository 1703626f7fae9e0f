"""``precision: auto`` is chosen once for a run; bfloat16 that would not end is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

from histodistill.computing import precision as measured
from histodistill.errors import InputError
from histodistill.experiment import Experiment
from histodistill.finished import FINISHED
from histodistill.training import cross_validate, train_final
from histodistill.training.loop.precision import precision_of
from histodistill.training.run import precision
from histodistill.training.run.precision import with_precision
from tests.training.cohorts import World, experiment, method

CPU = torch.device("cpu")
AUTO = {"training": {"precision": "auto", "max_epochs": 1}}


def on_a_processor(ratio: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if products in bfloat16 were so many times as fast as in float32."""
    for module in (measured, precision):
        monkeypatch.setattr(module, "times_as_fast", lambda narrow: {"bfloat16": ratio}[narrow])


def recorded(setup: Experiment) -> dict[str, str]:
    written = json.loads((setup.output / "experiment.json").read_text())
    return {name: each["training"]["precision"] for name, each in written["methods"].items()}


def test_the_default_is_the_same_on_every_machine(world: World) -> None:
    assert method(world.files).training.precision == "float32"


@pytest.mark.parametrize(
    ("recipe", "chosen"), [("mkd", "bfloat16"), ("linear", "float32"), ("snn", "float32")]
)
def test_networks_without_a_layer_for_patches_stay_in_float32(
    recipe: str, chosen: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_processor(8, monkeypatch)
    assert precision_of(method(world.files, recipe, precision="auto"), CPU) == chosen
    assert precision_of(method(world.files, recipe, precision="bfloat16"), CPU) == "bfloat16"


def test_auto_is_told_and_recorded_and_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that began in float32 goes on in it on a processor that is faster in bfloat16."""
    setup = experiment(world.files, tmp_path, methods={"abmil": {}}, **AUTO)
    on_a_processor(0.5, monkeypatch)
    with pytest.warns(UserWarning, match=r"`precision: auto` is float32 for abmil, which suits"):
        first = cross_validate(setup, world.data)
    assert recorded(setup) == {"abmil": "float32"}

    on_a_processor(8, monkeypatch)
    with pytest.warns(UserWarning, match="float32 for abmil, as this run began"):
        again = cross_validate(setup, world.data)
    assert again.equals(first)
    more = experiment(world.files, tmp_path, methods={"abmil": {}, "mkd": {}}, **AUTO)
    with pytest.warns(UserWarning, match="precision") as told:
        cross_validate(more, world.data)
    assert [str(each.message) for each in told if "precision" in str(each.message)] == [
        "`precision: auto` is float32 for abmil, as this run began",
        "`precision: auto` is bfloat16 for mkd, which suits this machine and these networks",
    ]
    assert recorded(more) == {"abmil": "float32", "mkd": "bfloat16"}


def test_auto_is_what_it_means_and_a_model_says_so(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_processor(8, monkeypatch)
    bundles = []
    for name in ("auto", "bfloat16"):
        training = {"precision": name, "max_epochs": 1}
        setup = experiment(world.files, tmp_path / name, training=training)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bundles.append(train_final(setup, world.data, "ER", "mkd", seed=0))
    told = [bundle.info.provenance["settings"]["training"]["precision"] for bundle in bundles]
    assert told == ["bfloat16", "bfloat16"]
    weights = [bundle.members[0].networks.state_dict() for bundle in bundles]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_teachers_that_are_trained_first_are_trained_in_it_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_processor(8, monkeypatch)
    own = {"recipe": "mkd-offline", "teacher_training": {"max_epochs": 1}}
    setup = experiment(world.files, tmp_path, methods={"offline": own}, **AUTO)
    with pytest.warns(UserWarning, match="bfloat16 for offline"):
        chosen = with_precision(setup).methods["offline"]
    assert chosen.training.precision == "bfloat16"
    assert chosen.teacher_training is not None
    assert chosen.teacher_training.precision == "bfloat16"


def test_bfloat16_that_is_slower_is_refused_before_anything_is_trained(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"precision": "bfloat16", "max_epochs": 1}
    setup = experiment(world.files, tmp_path, methods={"mkd": {}}, training=training)
    on_a_processor(1 / 94, monkeypatch)
    refusal = (
        "mkd: `precision: bfloat16`, and this processor multiplies in it 94 times slower than in "
        "float32, as measured just now; write `precision: float32`, or `precision: auto`, under "
        "`training`"
    )
    with pytest.raises(InputError) as refused:
        cross_validate(setup, world.data)
    assert refused.value.problems == (refusal,)
    with pytest.raises(InputError) as refused:
        train_final(setup, world.data, "ER", "mkd", seed=0)
    assert refused.value.problems == (refusal,)
    assert not list(tmp_path.iterdir())


def test_a_run_begun_in_bfloat16_is_not_gone_on_with_where_it_is_slow(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what is finished is read anywhere."""
    setup = experiment(world.files, tmp_path, methods={"abmil": {}}, **AUTO)
    on_a_processor(8, monkeypatch)
    with pytest.warns(UserWarning, match="bfloat16 for abmil"):
        first = cross_validate(setup, world.data)
    on_a_processor(0.01, monkeypatch)
    with pytest.warns(UserWarning, match="bfloat16 for abmil, as this run began"):
        assert cross_validate(setup, world.data).equals(first)

    next((tmp_path / "fits").rglob(FINISHED)).unlink()
    with (
        pytest.warns(UserWarning, match="as this run began"),
        pytest.raises(InputError, match=r"100 times slower .* go on on a machine like the first"),
    ):
        cross_validate(setup, world.data)


def test_a_damaged_record_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_processor(8, monkeypatch)
    (tmp_path / "experiment.json").write_text("[]")
    setup = experiment(world.files, tmp_path, **AUTO)
    with pytest.raises(InputError, match=r"experiment.json: damaged"):
        cross_validate(setup, world.data)
