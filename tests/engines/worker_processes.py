"""The worker processes of this one."""

from __future__ import annotations

import os
import subprocess


def workers() -> list[str]:
    """Command lines of the workers that this process has started and that run."""
    listing = subprocess.check_output(["ps", "-A", "-ww", "-o", "ppid=,stat=,args="], text=True)
    processes = [line.split(maxsplit=2) for line in listing.splitlines()]
    return [
        command
        for parent, state, command in processes
        if int(parent) == os.getpid() and not state.startswith("Z") and "popen_loky" in command
    ]
