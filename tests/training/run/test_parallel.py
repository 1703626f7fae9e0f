"""Fits side by side: the same results, and one that fails takes nobody with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from histodistill.errors import InputError
from histodistill.training import Epoch, Failure, Fit, cross_validate, fits_of
from histodistill.training.fit.trainings import Steps
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.loop.trainer import CHECKPOINT
from histodistill.training.run import fit_runner
from histodistill.training.run.attempts import FAILURE
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import Running, Silent, run_fits
from tests.engines.worker_processes import workers
from tests.training.cohorts import World, described, experiment
from tests.training.run.test_resume import assert_same, living, results, wait_until

# A learning rate at which no loss stays a number.
HOPELESS = {"recipe": "abmil", "training": {"learning_rate": 1e30}}
CHANGES = {
    "methods": {"hopeless": HOPELESS, "abmil": {}, "kd-offline": {}},
    "baselines": ["logistic-slides"],
    "training": {"max_epochs": 2},
}


class _Watcher(Silent):
    def __init__(self) -> None:
        self.fits: list[str] = []
        self.failed: list[str] = []
        self.epochs: list[str] = []

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        self.epochs.append(fit.method)

    def on_fit(self, fit: Fit) -> None:
        self.fits.append(str(fit))

    def on_failure(self, failure: Failure) -> None:
        self.failed.append(str(failure.fit))


@pytest.mark.slow
def test_two_jobs_give_what_one_gives_and_lose_nothing_to_a_failure(
    world: World, tmp_path: Path
) -> None:
    problems, watchers = [], []
    for jobs in (1, 2):
        setup = experiment(world.files, tmp_path / str(jobs), **CHANGES)
        watchers.append(_Watcher())
        with pytest.raises(InputError) as refused:
            cross_validate(setup, world.data, watcher=watchers[-1], jobs=jobs, threads=1)
        problems.append(refused.value.problems)
    assert sorted(watchers[0].fits) == sorted(watchers[1].fits)
    assert len(watchers[0].fits) == 6
    assert len(watchers[0].epochs) == 8
    assert sorted(watchers[0].epochs) == sorted(watchers[1].epochs)
    assert set(watchers[1].failed) == {f"ER hopeless seed 0 fold {fold}" for fold in (0, 1)}
    assert sorted(problems[0]) == sorted(problems[1])
    told = "the loss is no longer a number; give a lower `learning_rate`"
    assert sum(told in problem for problem in problems[0]) == 2
    assert problems[0][0].startswith("ER hopeless seed 0 fold 0: epoch ")
    assert problems[0][-1] == (
        "2 of 8 trainings failed; the others are finished and are not trained again by the same "
        "command"
    )
    written = results(tmp_path / "1")
    logs = [name for name in written if FAILURE in name]  # they name lines of code
    assert len(logs) == 2
    kept = {name: content for name, content in written.items() if "hopeless" not in name}
    others = [name for name in results(tmp_path / "2") if "hopeless" in name]
    assert_same(tmp_path / "2", kept, ignore=others)
    assert not (tmp_path / "2" / "predictions.csv").exists()
    # What is finished is not trained again, and can be had without what failed.
    watcher = _Watcher()
    good = {**CHANGES, "methods": {name: {} for name in ("abmil", "kd-offline")}}
    setup = experiment(world.files, tmp_path / "1", **good)
    predictions = cross_validate(setup, world.data, watcher=watcher)
    assert watcher.epochs == []
    assert set(predictions["method"]) == {"abmil", "kd-offline", "logistic-slides"}


def test_only_what_failed_is_trained_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {**CHANGES, "methods": {"abmil": {}, "mkd": {}}}
    setup = experiment(world.files, tmp_path / "broken", **changes)
    original = FitRunner._save

    def broken(self: FitRunner, method: object, fit: Fit, *args: object) -> None:
        if (fit.method, fit.fold.index) == ("mkd", 0):
            raise RuntimeError("no memory")
        original(self, method, fit, *args)  # type: ignore[arg-type]

    first, second = _Watcher(), _Watcher()
    with monkeypatch.context() as patch:
        patch.setattr(FitRunner, "_save", broken)
        with pytest.raises(InputError) as refused:
            cross_validate(setup, world.data, watcher=first)
    place = tmp_path / "broken/fits/ER/mkd/seed-0/repeat-0-fold-0"
    assert refused.value.problems[0] == (
        f"ER mkd seed 0 fold 0: RuntimeError: no memory ({place / FAILURE} tells where)"
    )
    assert "Traceback" in (place / FAILURE).read_text()
    assert first.failed == ["ER mkd seed 0 fold 0"]
    cross_validate(setup, world.data, watcher=second)
    assert set(second.epochs) <= {"mkd"}
    assert len(second.fits) == 6
    whole = experiment(world.files, tmp_path / "whole", **changes)
    cross_validate(whole, world.data)
    assert_same(tmp_path / "broken", results(tmp_path / "whole"))


def test_a_fold_is_prepared_once_for_all_methods(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    original = prepare_fold

    def counted(*args: object) -> FoldData:
        prepared.append(1)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fit_runner, "prepare_fold", counted)
    changes = {"methods": {"abmil": {}, "mkd": {}}, "seeds": [0, 1], "training": {"max_epochs": 1}}
    cross_validate(experiment(world.files, tmp_path, **changes), world.data)
    assert len(prepared) == 2


def test_a_method_may_have_seeds_of_its_own(world: World, tmp_path: Path) -> None:
    setup = experiment(
        world.files,
        tmp_path,
        methods={"abmil": {}, "mkd": {"seeds": [7]}},
        seeds=[0, 1],
        training={"max_epochs": 1},
    )
    fits = fits_of(setup, world.data)
    assert [(fit.method, fit.seed, fit.fold.index) for fit in fits] == [
        ("abmil", 0, 0),
        ("abmil", 0, 1),
        ("abmil", 1, 0),
        ("abmil", 1, 1),
        ("mkd", 7, 0),
        ("mkd", 7, 1),
    ]
    rows = cross_validate(setup, world.data)
    assert set(rows.loc[rows["method"] == "mkd", "seed"]) == {7}


class _PowerCutError(BaseException):
    """Stands for Ctrl-C."""


class _Unplugged(Silent):
    def on_fit(self, fit: Fit) -> None:
        assert len(workers()) == 2
        raise _PowerCutError


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_workers_end_whatever_ends_the_run(world: World, tmp_path: Path) -> None:
    long = {"max_epochs": 5000, "patience": 5000}
    changes = {"methods": {"abmil": {}, "mkd": {"training": long}}, "training": {"max_epochs": 1}}
    setup = experiment(world.files, tmp_path, **changes)
    with pytest.raises(_PowerCutError):
        cross_validate(setup, world.data, watcher=_Unplugged(), jobs=2, threads=1)
    assert not workers()


class _Dying(FitRunner):
    """Ends its process, as the system does where memory is lacking."""

    def steps(self, fit: Fit, on_epoch: object = None) -> Steps[None]:
        os._exit(9)


@pytest.mark.slow
def test_a_worker_that_dies_is_told_in_a_sentence(world: World, tmp_path: Path) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    fits = fits_of(setup, world.data)
    with pytest.raises(InputError, match="for lack of memory; what is finished is kept"):
        run_fits(_Dying(setup, world.data), fits, Silent(), Running(jobs=2, threads=1))


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(world: World, tmp_path: Path) -> None:
    long = {"max_epochs": 5000, "patience": 5000}
    changes = {"methods": {"abmil": {}, "mkd": {"training": long}}, "training": {"max_epochs": 1}}
    output = tmp_path / "run"
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(described(world.files, output, **changes)))
    program = Path(sys.executable).with_name("histodistill")
    process = subprocess.Popen(
        [str(program), "suite", str(file), "--jobs", "2", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(
            lambda: (
                bool(list(output.glob(f"fits/ER/mkd/*/*/{CHECKPOINT}")))
                or process.poll() is not None
            )
        )
        workers = {pid for pid, parent in living().items() if parent == process.pid}
        assert len(workers) >= 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, told = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert told.strip().startswith("Interrupted; no half-written file is left.")
    assert "Traceback" not in told
    wait_until(lambda: not workers & living().keys())
    assert list(output.glob("fits/ER/abmil/*/*/predictions.csv"))
