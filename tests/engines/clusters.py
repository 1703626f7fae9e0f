"""Clusters of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        settings: dict[str, Any] = {
            "num_cpus": 1,
            "object_store_memory": 80 * 2**20,
        }
        head = {**settings, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(**settings)
            cluster.wait_for_nodes()
            yield cluster.address
        finally:
            cluster.shutdown()


def submitit_for_slurm(patch: pytest.MonkeyPatch, cluster: str) -> None:
    """Let ``--on slurm`` mean submitit's own executors of this machine, ``local`` or ``debug``."""
    pytest.importorskip("submitit")
    from histodistill.engines import slurm

    original = slurm.SlurmArrays.__init__

    def here(self: object, *args: object, **settings: object) -> None:
        original(self, *args, **settings, cluster=cluster)  # type: ignore[arg-type]

    patch.setattr(slurm.SlurmArrays, "__init__", here)
    patch.setattr(slurm, "require_slurm", lambda: None)
