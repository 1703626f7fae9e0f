"""Fixtures for all tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, so that the user's gets nothing of them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def freed_memory_is_returned() -> Iterator[None]:
    """The allocator is left as it is: other tests measure the memory of the process."""
    with pytest.MonkeyPatch.context() as patch:
        for user in ("training.loop.trainer", "extraction.slide_extraction"):
            patch.setattr(f"histodistill.{user}.keep_freed_memory", lambda: None)
        yield


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with a core each; a process can join only one."""
    pytest.importorskip("ray")
    from tests.engines.clusters import two_nodes

    with two_nodes() as address:
        yield address


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[None]:
    """SLURM that takes jobs from here: the machine's own, or two nodes that are started for it."""
    pytest.importorskip("submitit")
    from tests.engines.slurm_cluster import slurm_of_this_machine, takes_jobs

    if takes_jobs():
        yield
        return
    with (  # the tests' own folder may lie too deep for a socket
        tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder,
        slurm_of_this_machine(Path(folder)),
    ):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development cohort and slides that may lie beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the development data do not lie beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def tcga(shared_data: Path) -> Path:
    """The real paired cohort."""
    return shared_data / "data" / "tcga-brca-open"
