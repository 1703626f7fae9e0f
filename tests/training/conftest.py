"""The tiny cohort, made and read once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from histodistill.experiment import load
from tests.training.cohorts import World, experiment, make_files


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums are taken in the same order in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    files = make_files(tmp_path_factory.mktemp("cohort"))
    return World(files, load(experiment(files, Path("unused"))))
