"""The clock of costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def clock_of(device: torch.device) -> Callable[[], float]:
    """Seconds that a device works: of the processor on a CPU, so that others do not count.

    A GPU runs beside the processor, and its time is that of the wall.
    """
    return time.process_time if device.type == "cpu" else time.perf_counter
