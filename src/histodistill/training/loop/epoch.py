"""What an epoch of a training tells whoever watches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from histodistill.training.loop.validation import Figures


@dataclass(frozen=True)
class Epoch:
    """What one epoch did.

    Attributes:
        epoch: From 0.
        learning_rate: During the epoch.
        losses: Mean of each term of the loss over the batches, and their sum ``total``.
        validation: Validation figures.
        best: Whether it is the best epoch so far.
    """

    epoch: int
    learning_rate: float
    losses: dict[str, float]
    validation: Figures
    best: bool

    def record(self) -> dict[str, object]:
        """A flat record for the training curves; an undefined figure is None."""
        figures = {k: None if math.isnan(v) else v for k, v in self.validation.items()}
        return {
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "losses": self.losses,
            "validation": figures,
            "best": self.best,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Epoch:
        """The epoch of a record."""
        figures = {k: math.nan if v is None else v for k, v in record["validation"].items()}
        return cls(**{**record, "validation": figures})


OnEpoch = Callable[[Epoch], None]
