"""A training step against the plain protocol, and against the machine.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --patches 2000 --precisions float32 --rounds 7
    python benchmarks/training_step.py --device cuda --cpu-threads 2

Three networks, a batch of 16 patients, bags of patches x 1,024, 8,192 genes. The plain
protocol is what a straightforward program does: one bag a forward, sixteen graphs kept and
walked backward twice, ``nn.Bilinear``, the row of the expression looked up in a table. Both
start from the same weights and the same data, and the first thing that is checked is that they
agree on every loss and every gradient. Rounds alternate between the two and a large matrix
product, so that a busy machine slows all three; what counts are the ratios in a round. In every
precision the library is measured against the plain protocol in float32, on the same device and,
with ``--cpu-threads``, on so many threads of the CPU beside a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from histodistill.computing.freed_memory import keep_freed_memory
from histodistill.computing.precision import times_as_fast
from histodistill.model import (
    Bags,
    Batch,
    Genes,
    NetworkName,
    Networks,
    NetworkSettings,
    ObjectiveSettings,
    Output,
    objective,
    to_tokens,
)
from histodistill.model.pooling.kernels import kernel_instructions

PATIENTS = 16
WIDTH = 1024
GENES = 8192
TOKEN = 512
PRODUCT = 3072


@dataclass(frozen=True)
class Cohort:
    """A batch of patients: patches as stored, expression in a table."""

    bags: list[Tensor]
    expression: pd.DataFrame
    labels: Tensor
    device: torch.device


def generated(n_patches: int, device: torch.device) -> Cohort:
    """Random patches in float16, expression in float32, both classes."""
    generator = torch.Generator().manual_seed(n_patches)
    bags = [torch.randn(n_patches, WIDTH, generator=generator).half() for _ in range(PATIENTS)]
    genes = torch.randn(PATIENTS, GENES, generator=generator).numpy()
    table = pd.DataFrame(genes, index=[f"patient {row}" for row in range(PATIENTS)])
    labels = torch.arange(PATIENTS) % 2
    return Cohort([bag.to(device) for bag in bags], table, labels.to(device), device)


class OurStep:
    """One forward and one backward for the whole batch, as the library trains."""

    def __init__(self, cohort: Cohort) -> None:
        self.networks = _networks(cohort.device)
        self.optimizer = torch.optim.AdamW(self.networks.parameters(), lr=2e-4, fused=True)
        self._cohort = cohort
        self._tokens = to_tokens(cohort.expression.to_numpy(), TOKEN).to(cohort.device)

    def gradients(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Terms of the loss; the parameters get their gradients."""
        batch = self._batch()
        with torch.autocast(batch.labels.device.type, dtype, enabled=dtype != torch.float32):
            outputs = self.networks(batch)
        precise = {name: output.float() for name, output in outputs.items()}
        terms = objective(precise, batch.labels, ObjectiveSettings())
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        return terms

    def _batch(self) -> Batch:
        cohort = self._cohort
        rows = torch.arange(PATIENTS, device=cohort.device)
        sizes = tuple(len(bag) for bag in cohort.bags)
        present = torch.ones(PATIENTS, dtype=torch.bool, device=cohort.device)
        genes = Genes({"mrna": self._tokens[rows]}, {"mrna": present}, rows)
        return Batch(Bags(tuple(cohort.bags), sizes, rows), genes, cohort.labels)


class PlainStep:
    """Bag by bag, graphs kept, two walks backward."""

    def __init__(self, cohort: Cohort) -> None:
        self.networks = _networks(cohort.device)
        self.optimizer = torch.optim.AdamW(self.networks.parameters(), lr=2e-4)
        self._cohort = cohort

    def gradients(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Terms of the loss; the parameters get their gradients."""
        cohort = self._cohort
        answers = []
        with torch.autocast(cohort.device.type, dtype, enabled=dtype != torch.float32):
            for patient, bag in zip(cohort.expression.index, cohort.bags, strict=True):
                genes = torch.tensor(cohort.expression.loc[patient].to_numpy())
                answers.append(self._answer(bag.float(), genes.to(cohort.device)))
        rows = torch.arange(PATIENTS, device=cohort.device)
        outputs = {
            name: Output(
                torch.stack([answer[name][0] for answer in answers]).float(),
                torch.stack([answer[name][1] for answer in answers]).float(),
                rows,
            )
            for name in answers[0]
        }
        terms = objective(outputs, cohort.labels, ObjectiveSettings())
        entropies = [value for name, value in terms.items() if name.startswith("ce_")]
        others = [value for name, value in terms.items() if not name.startswith("ce_")]
        self.optimizer.zero_grad()
        torch.autograd.backward(torch.stack(entropies).sum(), retain_graph=True)
        torch.autograd.backward(torch.stack(others).sum())
        return terms

    def _answer(self, bag: Tensor, genes: Tensor) -> dict[NetworkName, tuple[Tensor, Tensor]]:
        """Features and logits of one patient by each network."""
        student: Any = self.networks.student
        genomic: Any = self.networks.genomic
        slide = _attended(student.patches(bag), student.attention)
        tokens = genomic.tokens.activation(genomic.tokens.blocks["mrna"](genes.view(-1, TOKEN)))
        omic = _attended(tokens, genomic.attention)
        teacher: Any = self.networks.multimodal
        fused = self._fused(bag, genes)
        return {
            "student": (slide, student.classifier(slide)),
            "multimodal": (fused, teacher.classifier(fused)),
            "genomic": (omic, genomic.classifier(omic)),
        }

    def _fused(self, bag: Tensor, genes: Tensor) -> Tensor:
        teacher: Any = self.networks.multimodal
        path = _attended(teacher.patches(bag), teacher.patch_attention)
        layer, fusion = teacher.tokens.blocks["mrna"], teacher.fusion
        tokens = teacher.tokens.activation(layer(genes.view(-1, TOKEN)))
        omic = _attended(tokens, teacher.token_attention)
        one = path.new_ones(1)
        a = torch.cat([_gated(fusion.path, path, path, omic), one])
        b = torch.cat([_gated(fusion.omic, omic, path, omic), one])
        product = fusion.product(fusion.product_dropout(torch.outer(a, b).flatten()))
        joint: Tensor = fusion.joint(torch.cat([product, path, omic]))
        return joint


def _attended(hidden: Tensor, attention: Any) -> Tensor:
    """Gated attention of Ilse et al., two layers and a softmax over one bag."""
    v, u = attention.gate.weight.chunk(2)
    v_bias, u_bias = attention.gate.bias.chunk(2)
    content = torch.tanh(functional.linear(hidden, v, v_bias))
    gate = torch.sigmoid(functional.linear(hidden, u, u_bias))
    weights = torch.softmax(attention.score(content * gate), dim=0)
    return (weights.T @ hidden).squeeze(0)


def _gated(side: Any, modality: Tensor, path: Tensor, omic: Tensor) -> Tensor:
    # Autocast has no bilinear layer: it stays in float32.
    both = path[None].float(), omic[None].float()
    bilinear = functional.bilinear(*both, side.gate.weight, side.gate.bias)
    weighed: Tensor = side.out(torch.sigmoid(bilinear[0]) * side.hidden(modality))
    return weighed


def _networks(device: torch.device) -> Networks:
    torch.manual_seed(0)
    return Networks(WIDTH, {"mrna": GENES // TOKEN}, 2, NetworkSettings()).to(device)


def check(ours: OurStep, plain: PlainStep) -> None:
    """Both agree, without dropout, on every term of the loss and every gradient."""
    ours.networks.eval()
    plain.networks.eval()
    terms, expected = ours.gradients(torch.float32), plain.gradients(torch.float32)
    assert terms.keys() == expected.keys()
    for name, value in terms.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=name)
    theirs = dict(plain.networks.named_parameters())
    for name, parameter in ours.networks.named_parameters():
        if name.endswith("score.bias"):
            continue  # a softmax ignores a shift: its gradient is rounding
        own, other = parameter.grad, theirs[name].grad
        assert own is not None
        assert other is not None
        scale = float(other.abs().max())
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-3 * scale + 1e-6, msg=name)
    ours.networks.train()
    plain.networks.train()


def operations(patches: int) -> float:
    """Floating-point operations of both first layers and gates, there and back."""
    settings = NetworkSettings()
    layer, gate = WIDTH * settings.width, settings.width * 2 * settings.attention_width
    return 2 * 2 * patches * (2 * layer + 3 * gate)


def step(which: OurStep | PlainStep, dtype: torch.dtype) -> None:
    """Gradients and an update."""
    which.gradients(dtype)
    which.optimizer.step()


def seconds(run: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """How long it takes."""
    _wait(device)
    start = clock()
    run()
    _wait(device)
    return clock() - start


def measure(
    n_patches: int,
    dtypes: Sequence[torch.dtype],
    rounds: int,
    device: torch.device,
    clock: Callable[[], float],
) -> Iterator[str]:
    """Rows of the table, one for each type."""
    cohort = generated(n_patches, device)
    ours, plain = OurStep(cohort), PlainStep(cohort)
    check(ours, plain)
    runs: dict[str, Callable[[], object]] = {"plain": partial(step, plain, torch.float32)}
    for dtype in dtypes:
        factor = torch.randn(PRODUCT, PRODUCT, device=device).to(dtype)
        runs[f"ours {dtype}"] = partial(step, ours, dtype)
        runs[f"product {dtype}"] = partial(torch.mm, factor, factor)
    for run in runs.values():
        seconds(run, device, clock)
    taken = {name: np.empty(rounds) for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            taken[name][number] = seconds(run, device, clock)
    for dtype in dtypes:
        plainly, own = taken["plain"], taken[f"ours {dtype}"]
        speed = operations(PATIENTS * n_patches) / own
        limit = 2 * PRODUCT**3 / taken[f"product {dtype}"]
        per_bag = 1000 / PATIENTS
        yield (
            f"| {n_patches:,} | {str(dtype).removeprefix('torch.')} "
            f"| {np.median(plainly) * per_bag:.1f} | {np.median(own) * per_bag:.1f} "
            f"| {_spread(plainly / own, '.2f')} "
            f"| {np.median(speed) / 1e9:.0f} | {np.median(limit) / 1e9:.0f} "
            f"| {_spread(100 * speed / limit, '.0f')} |"
        )


def beside_cpu(n_patches: int, dtype: torch.dtype, device: torch.device, threads: int) -> str:
    """A row of the second table: a step on the device, beside the plain protocol on the CPU."""
    cpu = torch.device("cpu")
    cohort = generated(n_patches, cpu)
    plain, ours = PlainStep(cohort), OurStep(generated(n_patches, device))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    slow = min(_again(partial(step, plain, torch.float32), cpu, 2))
    torch.set_num_threads(before)
    fast = min(_again(partial(step, ours, dtype), device, 6))
    per_bag = 1000 / PATIENTS
    return (
        f"| {n_patches:,} | {str(dtype).removeprefix('torch.')} | {slow * per_bag:.1f} "
        f"| {fast * per_bag:.2f} | {slow / fast:.0f} |"
    )


def _again(run: Callable[[], object], device: torch.device, times: int) -> list[float]:
    return [seconds(run, device, time.perf_counter) for _ in range(times)]


def processor(device: torch.device) -> str:
    """What computes, with the instructions that were used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return (
        f"CPU; PyTorch's own code: {torch.backends.cpu.get_cpu_capability()}; "
        f"kernels: {kernel_instructions() or 'not compiled'}; products in bfloat16 "
        f"{times_as_fast('bfloat16'):.2g} times as fast as in float32 on one thread"
    )


def _spread(values: Iterable[float], digits: str) -> str:
    known = list(values)
    low, high = min(known), max(known)
    return f"{statistics.median(known):{digits}} ({low:{digits}} to {high:{digits}})"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Print a table, a row for each precision and bag size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--patches", type=int, nargs="+", default=[640, 2000, 8000, 12000])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count processor time, not the clock: for one thread on a busy machine",
    )
    parser.add_argument(
        "--cpu-threads", type=int, help="measure the plain protocol on so many as well"
    )
    options = parser.parse_args()
    keep_freed_memory()  # for both, as the trainer does
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{processor(options.device)}\n")
    print(
        "| patches a bag | precision | plain protocol in float32, ms a bag "
        "| this library, ms a bag | times faster | GFLOP/s | of a large product | share, % |\n"
        "|" + "---|" * 8
    )
    dtypes = [getattr(torch, precision) for precision in options.precisions]
    clock = time.process_time if options.processor_time else time.perf_counter
    for n_patches in options.patches:
        for row in measure(n_patches, dtypes, options.rounds, options.device, clock):
            print(row, flush=True)
    if options.cpu_threads:
        print(
            f"\n| patches a bag | precision | plain protocol in float32 on {options.cpu_threads} "
            "CPU threads, ms a bag | this library, ms a bag | times faster |\n|" + "---|" * 5
        )
        for n_patches in options.patches:
            print(
                beside_cpu(n_patches, dtypes[-1], options.device, options.cpu_threads), flush=True
            )


if __name__ == "__main__":
    main()
