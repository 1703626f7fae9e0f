"""The losses that torchdistill has too, where it is installed (no dependency)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from histodistill.model.losses.distillation import attention_transfer, dist, pkt, rkd
from tests.model.losses.distillation.patients import classes, loss, pair

losses = pytest.importorskip("torchdistill.losses.mid_level")
PATHS = {"student_module_path": "x", "teacher_module_path": "x"}
BOTH = PATHS | {"student_module_io": "output", "teacher_module_io": "output"}


def answer(criterion: Any, logits: bool = False) -> float:
    """What their criterion makes of our outputs."""
    read = [given.logits if logits else given.features for given in pair()]
    result: torch.Tensor = criterion(*({"x": {"output": x.clone()}} for x in read))
    return result.item()


def test_rkd() -> None:
    theirs = losses.RKDLoss("x", "x", rkd.DISTANCE_WEIGHT, rkd.ANGLE_WEIGHT, reduction="mean")
    assert loss("rkd", *pair(), classes()) == pytest.approx(answer(theirs))


def test_pkt() -> None:
    theirs = losses.PKTLoss(**BOTH)
    # Theirs is a mean over pairs of patients, ours over patients.
    assert loss("pkt", *pair(), classes()) == pytest.approx(
        6 * pkt.WEIGHT * answer(theirs), rel=1e-4
    )


def test_at() -> None:
    feature = {"io": "output", "path": "x"}
    theirs = losses.ATLoss({"only": {"teacher": feature, "student": feature}})
    read = [given.features[:, None, :, None] for given in pair()]  # one channel, d places
    value = theirs(*({"x": {"output": x}} for x in read)).item()
    assert loss("at", *pair(), classes()) == pytest.approx(attention_transfer.WEIGHT * value)


def test_cc() -> None:
    theirs = losses.CCKDLoss("x", "x", {"type": "gaussian", "gamma": 0.4, "max_p": 2}, "sum")
    read = [torch.nn.functional.normalize(given.features, dim=1) for given in pair()]
    root = theirs(*({"x": {"output": x}} for x in read)).item()
    assert loss("cc", *pair(), classes()) == pytest.approx(100 * root**2 / 36)


def test_dist() -> None:
    theirs = losses.DISTLoss(**BOTH, beta=dist.INTER_WEIGHT, gamma=dist.INTRA_WEIGHT, tau=1)
    assert loss("dist", *pair(), classes()) == pytest.approx(answer(theirs, logits=True))
