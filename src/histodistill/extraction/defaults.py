"""What an extraction may choose, and how it runs by default.

Nothing is imported here, so that the command line can show it at once.
"""

from __future__ import annotations

from typing import Literal

Stain = Literal["none", "macenko", "reinhard"]

DEFAULT_WORKERS = 4
"""Threads that read and decode patches."""

CPU_BATCH = 16
"""Patches encoded together on a CPU."""

CUDA_BATCH = 128
"""Patches encoded together on a GPU."""
