"""The same predictions wherever fits are trained, whoever else trains them, whatever dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from histodistill.claims import Claims
from histodistill.errors import InputError
from histodistill.training import cross_validate, fits_of, train_final
from histodistill.training.run.attempts import FAILURE, claim_names, claims_of
from tests.engines.clusters import submitit_for_slurm
from tests.training.cohorts import World, described, experiment
from tests.training.run.test_parallel import HOPELESS, _Watcher
from tests.training.run.test_resume import assert_same, results

CHANGES: dict[str, Any] = {
    "methods": {"abmil": {}, "kd-offline": {}, "mkd": {}},
    "baselines": ["logistic-slides"],
    "training": {"max_epochs": 2},
}


@pytest.fixture(scope="module")
def alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes."""
    output = tmp_path_factory.mktemp("alone")
    cross_validate(experiment(world.files, output, **CHANGES), world.data, threads=1)
    return results(output)


@pytest.mark.slow
def test_ray_gives_the_same_bytes_and_names_what_fails(
    world: World, tmp_path: Path, alone: dict[str, bytes], ray_cluster: str
) -> None:
    changes = {**CHANGES, "methods": {"hopeless": HOPELESS, **CHANGES["methods"]}}
    watcher = _Watcher()
    setup = experiment(world.files, tmp_path, **changes)
    with (
        pytest.warns(UserWarning, match="Ray: nodes: 2; 2 tasks"),
        pytest.raises(InputError) as refused,
    ):
        cross_validate(setup, world.data, watcher=watcher, on=f"ray://{ray_cluster}")
    assert (len(watcher.fits), len(watcher.failed)) == (8, 2), refused.value.problems
    told = "the loss is no longer a number; give a lower `learning_rate`"
    assert sum(told in problem for problem in refused.value.problems) == 2
    # The same command without what fails trains nothing again.
    good = experiment(world.files, tmp_path, **CHANGES)
    cross_validate(good, world.data, on=f"ray://{ray_cluster}")
    failed = [name for name in results(tmp_path) if "hopeless" in name]
    assert sum(FAILURE in name for name in failed) == 2
    assert_same(tmp_path, alone, ignore=failed)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_submitit_gives_the_same_bytes(
    world: World,
    tmp_path: Path,
    alone: dict[str, bytes],
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submitit_for_slurm(monkeypatch, cluster)
    with pytest.warns(UserWarning, match="SLURM: arrays of at most 2 tasks"):
        cross_validate(experiment(world.files, tmp_path, **CHANGES), world.data, on="slurm", jobs=2)
    tasks = [name for name in results(tmp_path) if name.startswith(".tasks")]
    assert bool(tasks) == (cluster == "local")
    assert_same(tmp_path, alone, ignore=tasks)


@pytest.mark.slow
def test_several_commands_share_a_folder(
    world: World, tmp_path: Path, alone: dict[str, bytes]
) -> None:
    """Each training is done by one of them, and all of them end with the whole."""
    output = tmp_path / "shared"
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(described(world.files, output, **CHANGES)))
    program = Path(sys.executable).with_name("histodistill")
    command = [str(program), "crossval", str(file), "--no-report", "--threads", "1"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert_same(output, alone)
    assert not list((output / ".claims").iterdir())


def test_a_fit_that_another_process_holds_is_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = experiment(world.files, tmp_path, methods={"abmil": {}}, training={"max_epochs": 1})
    held, free = fits_of(setup, world.data)
    looks: list[float] = []
    watcher = _Watcher()
    with claims_of(setup) as other:
        assert other.take(claim_names((str(held),))[0])

        def looked(seconds: float) -> None:
            looks.append(seconds)
            assert watcher.fits == [str(free)]
            if len(looks) == 2:
                other.release(claim_names((str(held),))[0])

        monkeypatch.setattr("histodistill.engines.sharing.time.sleep", looked)
        cross_validate(setup, world.data, watcher=watcher)
    assert len(looks) == 2
    assert watcher.fits == [str(free), str(held)]


def test_a_final_model_is_trained_by_one_process(world: World, tmp_path: Path) -> None:
    setup = experiment(world.files, tmp_path, training={"max_epochs": 1})
    folder = tmp_path / "final" / "ER" / "mkd" / "seed-0"
    with Claims(folder / ".claims") as other:
        other.take("all")
        with pytest.raises(InputError, match="seed-0: another process is training this"):
            train_final(setup, world.data, "ER", "mkd", seed=0)
    train_final(setup, world.data, "ER", "mkd", seed=0)
