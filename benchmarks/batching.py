"""One batch of bags of different sizes: ragged, padded, or one bag at a time?

    python benchmarks/batching.py

Times forward and backward of the student, interleaved over several rounds, and prints how
many times longer than the ragged batch (the library's) the others take. The three give the
same gradients, which is checked first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from histodistill.model import Bags, NetworkSettings, Shape
from histodistill.model.layers.attention import pool_tokens
from histodistill.model.students.abmil import ABMIL

WIDTH = 1024
PATIENTS = 16

Step = Callable[[ABMIL, list[Tensor], Tensor], None]


def ragged(student: ABMIL, bags: list[Tensor], labels: Tensor) -> None:
    """All bags end to end, as the library trains."""
    sizes = tuple(len(bag) for bag in bags)
    output = student(Bags(tuple(bags), sizes, torch.arange(len(bags))))
    torch.autograd.backward(cross_entropy(output.logits, labels))


def padded(student: ABMIL, bags: list[Tensor], labels: Tensor) -> None:
    """Zeros up to the longest bag, masked out of the softmax."""
    patches = pad_sequence(bags, batch_first=True)
    sizes = torch.tensor([len(bag) for bag in bags])
    mask = torch.arange(patches.shape[1]) < sizes[:, None]
    hidden = student.patches(patches)
    features = pool_tokens(student.attention(hidden), hidden, mask)
    torch.autograd.backward(cross_entropy(student.classifier(features), labels))


def one_by_one(student: ABMIL, bags: list[Tensor], labels: Tensor) -> None:
    """A batch of one, sixteen times, all graphs kept until the end."""
    logits = [student(Bags((bag,), (len(bag),), torch.zeros(1))).logits for bag in bags]
    torch.autograd.backward(cross_entropy(torch.cat(logits), labels))


STEPS: dict[str, Step] = {"ragged": ragged, "padded": padded, "one by one": one_by_one}


def main() -> None:
    """Run the comparison for an even and a realistic spread of bag sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(PATIENTS, generator=generator)
    sizes = {
        "even, 2,000 patches each": [2000] * PATIENTS,
        "spread, 250 to 8,000 patches": (250 * 32**spread).int().tolist(),
    }
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for title, lengths in sizes.items():
        bags = [torch.randn(length, WIDTH, generator=generator) for length in lengths]
        labels = torch.randint(0, 2, (PATIENTS,), generator=generator)
        torch.manual_seed(0)
        student = ABMIL(Shape(2, NetworkSettings(dropout=0), WIDTH))
        _check(student, bags, labels)
        print(f"\n{title} ({sum(lengths):,} in all)")
        for name, ratios in _ratios(student, bags, labels, rounds).items():
            middle = statistics.median(ratios)
            print(f"  {name:10s} {middle:5.2f} x ragged ({min(ratios):.2f} to {max(ratios):.2f})")


def _check(student: ABMIL, bags: list[Tensor], labels: Tensor) -> None:
    gradients = []
    for step in STEPS.values():
        student.zero_grad()
        step(student, bags, labels)
        gradients.append([p.grad.clone() for p in student.parameters() if p.grad is not None])
    for other in gradients[1:]:
        for ours, theirs in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def _ratios(
    student: ABMIL, bags: list[Tensor], labels: Tensor, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each step over those of the ragged one in the same round."""
    ratios: dict[str, list[float]] = {name: [] for name in STEPS}
    for _ in range(rounds):
        seconds = {}
        for name, step in STEPS.items():
            start = time.perf_counter()
            step(student, bags, labels)
            seconds[name] = time.perf_counter() - start
        for name, value in seconds.items():
            ratios[name].append(value / seconds["ragged"])
    return ratios


if __name__ == "__main__":
    main()
