"""What a device is fast in is measured, in little time, and asked of a GPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

import pytest
import torch

from histodistill.computing import precision
from histodistill.computing.precision import WORTH, fast_precision, times_as_fast

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("ratio", "chosen"), [(8, "bfloat16"), (WORTH, "bfloat16"), (0.5, "float32")]
)
def test_a_cpu_takes_bfloat16_where_it_gains(
    ratio: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "times_as_fast", lambda narrow: {"bfloat16": ratio}[narrow])
    assert fast_precision(CPU) == chosen
    assert fast_precision(torch.device("mps")) == "float32"


@pytest.mark.parametrize(("has", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_asked_whether_it_has_bfloat16(
    has: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(*, including_emulation: bool) -> bool:
        return has or including_emulation  # older ones emulate it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert fast_precision(torch.device("cuda:0")) == chosen


def test_the_measurement_ends_where_a_product_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of bfloat16 that takes a second is made twice, the first time to prepare."""
    sizes: list[tuple[torch.dtype, int]] = []
    product = torch.mm
    now = [0.0]

    def slow(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        sizes.append((left.dtype, len(left)))
        now[0] += 1.0 if left.dtype is torch.bfloat16 else 0.001
        return product(left.float(), right.float())

    monkeypatch.setattr(torch, "mm", slow)
    monkeypatch.setattr(time, "thread_time", lambda: now[0])
    threads = torch.get_num_threads()
    assert times_as_fast.__wrapped__("bfloat16") == pytest.approx(0.001)
    assert sizes.count((torch.bfloat16, 64)) == 2
    assert {side for _, side in sizes} == {64}
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(platform.machine() != "x86_64", reason="limits the instructions of x86")
def test_a_processor_without_bfloat16_is_slower_in_it() -> None:
    """Really measured, by PyTorch limited to the instructions of such a processor."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "from histodistill.computing.precision import times_as_fast\n"
            "print(times_as_fast('bfloat16'))",
        ],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 < float(found.stdout) < 1
