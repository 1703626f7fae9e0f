"""TensorBoard events of a training, an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histodistill.errors import InputError
from histodistill.training.loop.epoch import Epoch, OnEpoch


def require_tensorboard() -> None:
    """Refuse early where TensorBoard is absent.

    Raises:
        InputError: It is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed; run: pip install 'histodistill[tensorboard]'"
        ) from error


@contextmanager
def event_writer(folder: Path) -> Iterator[OnEpoch]:
    """Write every epoch's losses and validation figures as events into a folder."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)

    def write(epoch: Epoch) -> None:
        figures = {f"loss/{name}": value for name, value in epoch.losses.items()}
        figures |= {f"validation/{name}": value for name, value in epoch.validation.items()}
        for name, value in (figures | {"learning_rate": epoch.learning_rate}).items():
            writer.add_scalar(name, value, epoch.epoch)

    try:
        yield write
    finally:
        writer.close()
