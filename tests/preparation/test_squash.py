"""Squashed features by a loop, and through a map of programmes."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.preparation import ExpressionProgrammes, Transforms
from histodistill.preparation import squash as module
from histodistill.preparation.squash import Squash, in_parts, mean_of
from tests.instructions import USED, program

MEANS = np.random.default_rng(0).normal([2, -5, 0], [1, 3, 0.1], size=(20, 3))


def test_a_patch_is_standardised_and_compressed() -> None:
    squash = Squash.fit(MEANS)
    bag = torch.tensor([[2.5, -9, 0.3], [1, 40, -0.1]], dtype=torch.float16)
    expected = [
        [
            math.copysign(math.log1p(abs(z)), z)
            for z in ((row - MEANS.mean(axis=0)) / MEANS.std(axis=0)).tolist()
        ]
        for row in bag.double().numpy()
    ]
    found = squash.transform(bag)
    assert found.dtype is torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(squash.mean(bag), np.mean(expected, axis=0), rtol=1e-4)


def test_the_mean_of_a_large_bag_is_made_in_parts() -> None:
    squash, bag = Squash.fit(MEANS), torch.randn(20000, 3)
    whole = squash.transform(bag).double().mean(dim=0)
    np.testing.assert_allclose(squash.mean(bag), whole, rtol=1e-6)


def test_constant_features_are_0() -> None:
    squash = Squash.fit(np.hstack([MEANS, np.full((20, 1), 70.0), np.zeros((20, 1))]))
    found = squash.transform(torch.full((2, 5), 9.0))
    assert torch.equal(found[:, 3:], torch.zeros(2, 2))
    assert found.isfinite().all()
    assert (found[:, :3] != 0).all()


def test_it_travels_with_the_map_that_reads_it(tmp_path: Path) -> None:
    squash = Squash.fit(MEANS)
    bags = [torch.from_numpy(row[None]) for row in MEANS]
    means = np.array([squash.mean(bag) for bag in bags])
    genes = np.random.default_rng(1).normal(size=(20, 4))
    programmes = ExpressionProgrammes.fit(means, genes, np.resize([0, 1], 20), 2, squash)
    Transforms(None, {}, programmes).save(tmp_path)
    read = Transforms.load(tmp_path).programmes
    assert read is not None
    bag = torch.randn(4, 3)
    assert torch.equal(read.transform(bag), programmes.transform(bag))
    expected = squash.transform(bag) @ programmes.weight + programmes.bias
    torch.testing.assert_close(read.transform(bag), expected)
    # The answers to the training patients are centred and of one common scale.
    answers = torch.cat([programmes.transform(bag) for bag in bags])
    torch.testing.assert_close(answers.mean(dim=0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(answers.std(unbiased=False), torch.tensor(1.0), atol=1e-3, rtol=0)


def test_a_bag_is_read_in_parts_and_its_mean_is_that_of_the_whole() -> None:
    bag = torch.arange(5000.0).reshape(-1, 2)
    assert [len(part) for part in in_parts(bag)] == [*(256,) * 9, 196]
    assert mean_of(torch.neg, bag) == pytest.approx([-2499, -2500])


def test_compiled_and_plain_code_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    squash, bag = Squash.fit(MEANS), torch.randn(300, 3).half()
    compiled = squash.transform(bag)
    monkeypatch.setattr(module, "_kernel", lambda: None)
    torch.testing.assert_close(compiled, squash.transform(bag), rtol=1e-6, atol=0)


def test_the_bag_stays_as_it_is_and_gradients_flow() -> None:
    squash, bag = Squash.fit(MEANS), torch.randn(9, 3)
    before = bag.clone()
    found = squash.transform(bag)
    assert torch.equal(bag, before)
    leaf = bag.clone().requires_grad_()
    squash.transform(leaf).sum().backward()
    z = (bag - squash.centre) * squash.rate
    torch.testing.assert_close(leaf.grad, squash.rate / (1 + z.abs()))
    assert torch.equal(squash.transform(bag.T.contiguous().T), found)


def test_stored_values_of_another_width_are_refused() -> None:
    squash = Squash(torch.zeros(2), torch.ones(2))
    with pytest.raises(RuntimeError, match="size"):
        squash.transform(torch.randn(4, 3))


@pytest.mark.parametrize("target", USED)
def test_every_kind_of_processor_gives_the_same(target: str, tmp_path: Path) -> None:
    driver, source = Path(__file__).with_name("squash_driver.cpp"), Path(module.__file__)
    command = program(target, driver, {"SQUASH": source.with_suffix(".cpp")}, tmp_path)
    rng = np.random.default_rng(0)
    centre, rate = rng.normal(size=45), np.geomspace(1e-12, 1e12, 45)
    patches = rng.normal(size=(67, 45))
    patches[3] = [0, -0.0, math.inf, -math.inf, math.nan] * 9
    given = [values.astype(np.float32) for values in (centre, rate, patches)]
    bytes_in = b"".join(values.tobytes() for values in given)
    done = subprocess.run([*command, "67", "45", "2"], input=bytes_in, capture_output=True)
    assert done.returncode == 0, done.stderr
    z = (given[2] - given[0]) * given[1]  # in float32, as the code does
    found = np.frombuffer(done.stdout, np.float32).reshape(67, 45)
    expected = np.copysign(np.log1p(np.abs(z), dtype=np.float64), z)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
