"""A Ray cluster of two nodes, for all tests that ask for it."""

import pytest


@pytest.fixture(scope="package")
def ray_cluster():
    """The address of a cluster of two nodes with a core each, on this machine."""
    pytest.importorskip("ray")
    from tests.engines.clusters import two_nodes

    with two_nodes() as address:
        yield address
