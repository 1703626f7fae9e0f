"""The kernels give the same for every kind of processor: run here, or under an emulator.

Each is compiled for a kind of processor, together with ``driver.cpp``, which runs every kernel
once on random numbers; the results are held against float64.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histodistill.model.pooling import kernels
from histodistill.model.pooling.random_bits import plainly_made_of
from tests.instructions import USED, program

SOURCES = Path(kernels.__file__).parent
DRIVER = Path(__file__).with_name("driver.cpp")
ROWS, WIDTH, BAGS, STRIDE, THREADS = 67, 45, 3, 96, 2
NEAR = {torch.float32: 2e-6, torch.bfloat16: 1e-2}


@pytest.mark.parametrize("target", USED)
def test_every_kernel(target: str, tmp_path: Path) -> None:
    sources = {"KERNELS": SOURCES / "kernels.cpp", "RANDOM_BITS": SOURCES / "random_bits.cpp"}
    check(program(target, DRIVER, sources, tmp_path), USED[target])


def check(command: list[str], used: str) -> None:
    inputs = drawn_inputs()
    sizes = [str(size) for size in (ROWS, WIDTH, BAGS, STRIDE, THREADS)]
    given = b"".join(values.tobytes() for values in inputs.values())
    found = subprocess.run([*command, *sizes], input=given, capture_output=True, timeout=120)
    assert found.returncode == 0, found.stderr
    results = Results(found.stdout)
    for dtype in (torch.float32, torch.bfloat16):
        for name, exact in expected(inputs, dtype).items():
            value = results.take(dtype if name in ROWS_OF_THE_TYPE else torch.float32, exact.shape)
            near = NEAR[dtype] * max(exact.abs().max().item(), 1.0)
            torch.testing.assert_close(value.double(), exact, rtol=0, atol=near, msg=name)
    narrow = torch.from_numpy(inputs["gates"]).bfloat16()
    turned = results.take(torch.bfloat16, (2 * WIDTH, STRIDE))
    assert torch.equal(turned[:, :ROWS], narrow.T)
    assert not turned[:, ROWS:].any()
    added = results.take(torch.float32, narrow.shape)
    assert torch.equal(added, torch.from_numpy(inputs["gates"]) + narrow.float())
    assert torch.equal(results.take(torch.int64, (ROWS,)), plainly_made_of(-7, ROWS))
    assert results.rest() == used


def drawn_inputs() -> dict[str, NDArray[np.generic]]:
    """Random inputs, in the order in which the driver reads them."""
    rng = np.random.default_rng(0)
    small = np.float32(0.3)
    return {
        "stored": rng.normal(0, 1, (ROWS, WIDTH)).astype(np.float16),
        "mean": rng.normal(0, 1, WIDTH).astype(np.float32),
        "bias": rng.normal(0, 1, WIDTH).astype(np.float32),
        "bits": rng.integers(-128, 128, (ROWS, WIDTH), dtype=np.int8),
        "bag": np.sort(rng.integers(0, BAGS, ROWS)),
        "gates": rng.normal(0, 2, (ROWS, 2 * WIDTH)).astype(np.float32),
        "gate_bias": rng.normal(0, 1, 2 * WIDTH).astype(np.float32) * small,
        "score": rng.normal(0, 1, WIDTH).astype(np.float32) * small,
    }


ROWS_OF_THE_TYPE = {"widened", "hidden", "gates", "d_gates", "d_hidden"}


def expected(inputs: dict[str, NDArray[np.generic]], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The same in float64, in the order in which the driver writes, rounded where it rounds."""

    def rounded(values: torch.Tensor) -> torch.Tensor:
        return values.to(dtype).double()

    given = {name: torch.from_numpy(values) for name, values in inputs.items()}
    mean, bias, score = (given[name].double() for name in ("mean", "bias", "score"))
    bag = given["bag"]
    widened = rounded(given["stored"].double() - mean)
    hidden = rounded((widened + bias).clamp(min=0) * (given["bits"] >= 0))
    gates = torch.tanh(rounded(given["gates"].double()) + given["gate_bias"].double())
    content, gate = gates.chunk(2, dim=1)
    scores = (content * (1 + gate)) @ score
    totals = torch.zeros(BAGS, WIDTH).double().index_add_(0, bag, scores[:, None] * hidden)
    d_scores = scores * ((hidden * totals[bag]).sum(dim=1) - mean[bag])
    content, gate = rounded(gates).chunk(2, dim=1)
    d = d_scores[:, None] * score
    d_gates = torch.cat([d * (1 + gate) * (1 - content**2), d * content * (1 - gate**2)], dim=1)
    d_score = (d_scores[:, None] * content * (1 + gate)).sum(dim=0)
    d_hidden = (widened + scores[:, None] * totals[bag]) * (hidden > 0)
    return {
        "widened": widened,
        "hidden": hidden,
        "gates": gates,
        "scores": scores,
        "totals": totals,
        "d_scores": d_scores,
        "d_gates": d_gates,
        "sums": torch.cat([d_gates.sum(dim=0), d_score]),
        "d_hidden": d_hidden,
        "d_bias": d_hidden.sum(dim=0),
    }


class Results:
    """What the driver wrote, one array after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)

    def take(self, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
        size = int(np.prod(shape)) * dtype.itemsize
        taken, self._content = self._content[:size], self._content[size:]
        assert len(taken) == size
        return torch.frombuffer(taken, dtype=dtype).reshape(shape)

    def rest(self) -> str:
        return self._content.decode()
