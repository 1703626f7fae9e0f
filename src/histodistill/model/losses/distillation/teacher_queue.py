"""What a teacher made of the patients of earlier batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TeacherQueue(nn.Module):
    """The last ``size`` teacher features and the labels of their patients, newest first.

    The contents are buffers: they are saved with a checkpoint, and a resumed training goes on
    with the same ones.

    Args:
        size: Most patients that are kept.
        width: Size d of the features.
    """

    features: Tensor
    labels: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("labels", torch.full((size,), -1))
        self.register_buffer("filled", torch.tensor(0))

    def behind(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The patients of a batch with those of the queue behind them.

        Args:
            features: Teacher features of the batch, [n, d].
            labels: Their labels, [n].

        Returns:
            Features [n + size, d], labels [n + size], and which of them are there, [n + size]
            bool: the queue is empty at first, and an empty place has the label -1.
        """
        places = torch.arange(len(self.labels), device=labels.device)
        present = torch.cat([torch.ones_like(labels, dtype=torch.bool), places < self.filled])
        return (
            torch.cat([features, self.features]),
            torch.cat([labels, self.labels]),
            present,
        )

    @torch.no_grad()
    def push(self, features: Tensor, labels: Tensor) -> None:
        """Put a batch [n, d] in front; the oldest patients drop out."""
        size = len(self.labels)
        self.features = torch.cat([features.detach(), self.features])[:size]
        self.labels = torch.cat([labels, self.labels])[:size]
        self.filled = (self.filled + len(labels)).clamp(max=size)
