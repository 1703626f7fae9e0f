"""Dropout whose random numbers may come from several streams: one for each model of a stack.

A model that is trained alone draws from torch's global generator. Models that are trained in
one pass (:mod:`histodistill.training.loop.shared_pass`) each draw from a generator of their own,
in the same order and of the same shapes, so that each drops what it would have dropped alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

# Fills a tensor with random numbers from a generator; None is torch's global one.
Draw = Callable[[Tensor, torch.Generator | None], object]

# Of SELU (Klambauer et al., NeurIPS 2017): minus its scale times its alpha.
_SATURATED = -1.7580993408473766


class Streams:
    """The generators of the models of a stack.

    Args:
        generators: One a model, on the device of the networks.

    Attributes:
        rows: Rows that each model has of what is dropped now; the others are padding.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self.generators = tuple(generators)
        self.rows: Sequence[int] = ()

    def drawn(self, values: Tensor, draw: Draw) -> Tensor:
        """Random numbers for values [M, n, ...]: each model draws for the rows that it has."""
        drawn = torch.zeros_like(values)
        for own, rows, generator in zip(drawn, self.rows, self.generators, strict=True):
            draw(own[:rows], generator)
        return drawn


_STREAMS: ContextVar[Streams | None] = ContextVar("streams", default=None)


@contextmanager
def drawing_from(streams: Streams) -> Iterator[None]:
    """Let dropout draw from the streams of a stack."""
    token = _STREAMS.set(streams)
    try:
        yield
    finally:
        _STREAMS.reset(token)


class Dropout(nn.Dropout):
    """``nn.Dropout``, for models alone and in a stack."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Set values to 0 at random in training, and scale the others up."""
        if not self.training or self.p == 0:
            return input
        return input * _kept(input, 1 - self.p).div_(1 - self.p)


class AlphaDropout(nn.AlphaDropout):
    """``nn.AlphaDropout``, for models alone and in a stack.

    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, section 3.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Set values to SELU's limit at random in training; mean and variance stay."""
        if not self.training or self.p == 0:
            return input
        kept = _kept(input, 1 - self.p)
        scale = ((_SATURATED**2 * self.p + 1) * (1 - self.p)) ** -0.5
        shift = (kept - 1).mul_(-_SATURATED * scale).add_(-_SATURATED * scale * self.p)
        return input * kept.mul_(scale) + shift


def _kept(values: Tensor, share: float) -> Tensor:
    """Ones with this probability, and zeros."""
    if _STREAMS.get() is None:
        return torch.empty_like(values).bernoulli_(share)
    return drawn_alike(values, lambda own, generator: own.bernoulli_(share, generator=generator))


def drawn_alike(values: Tensor, draw: Draw) -> Tensor:
    """Random numbers in the shape and type of values, each model of a stack drawing its own.

    Args:
        values: [n, ...], one model's, inside ``torch.vmap``.
        draw: Fills the rows of one model.
    """
    drawn: Tensor = _StackedDraw.apply(values.detach(), draw)  # type: ignore[no-untyped-call]
    return drawn


class _StackedDraw(torch.autograd.Function):
    """What ``torch.vmap`` calls with the values of all models at once."""

    generate_vmap_rule = False

    @staticmethod
    def forward(values: Tensor, draw: Draw) -> Tensor:  # noqa: ARG004
        raise RuntimeError("dropout draws from the streams of a stack, but only one model runs")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:  # noqa: ARG004
        return None, None

    @staticmethod
    def vmap(
        info: Any,  # noqa: ARG004
        in_dims: tuple[int, None],
        values: Tensor,
        draw: Draw,
    ) -> tuple[Tensor, int]:
        streams = _STREAMS.get()
        assert streams is not None
        return streams.drawn(values.movedim(in_dims[0], 0), draw), 0
