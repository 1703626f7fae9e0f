"""SLURM itself, started for the tests: munge, a controller and two nodes of this machine."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
# Debian keeps daemons where only root looks.
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODES = ("one", "two")
# One greater than the greatest index of an array.
MAX_ARRAY_SIZE = 4


def takes_jobs() -> bool:
    """Whether a cluster answers that takes jobs from here."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return False
    asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and " up " in asked.stdout


@contextmanager
def slurm_of_this_machine(folder: Path) -> Iterator[None]:
    """A cluster of two nodes with a core each, of whoever runs the tests.

    Args:
        folder: Gets keys, states and logs; its path is short, for sockets.
    """
    programs = {name: shutil.which(name, path=_PLACES) for name in (*DAEMONS, "sbatch", "srun")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"no SLURM takes jobs from here, and there is no {', '.join(missing)}")
    folder.chmod(0o755)  # munge wants its socket to be reached by all
    configuration = _configured(folder)
    munge = [
        *(f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"),
        *(f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log"),
        f"--seed-file={folder}/munge.seed",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(configuration))
        patch.delenv("SBATCH_TIMELIMIT", raising=False)
        commands = [[f"{programs['munged']}", *munge], [f"{programs['slurmctld']}"]]
        commands += [[f"{programs['slurmd']}", "-N", node] for node in NODES]
        try:
            for command in commands:
                begun = subprocess.run(command, capture_output=True, text=True, check=False)
                assert begun.returncode == 0, begun.stderr
            _wait_for_nodes(folder)
            yield
        finally:
            _end(folder)


def _configured(folder: Path) -> Path:
    """The configuration, with a key that nobody else has."""
    for name in ("controller", *NODES):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    user, host = pwd.getpwuid(os.getuid()).pw_name, socket.gethostname()
    port = _free_ports(1 + len(NODES))
    lines = [
        "ClusterName=tests",
        f"SlurmctldHost={host}(127.0.0.1)",
        "AuthType=auth/munge",
        # A job that is put back begins when its old credentials have expired.
        f"AuthInfo=socket={folder}/munge.socket,cred_expire=5",
        f"SlurmUser={user}",
        f"SlurmdUser={user}",
        f"StateSaveLocation={folder}/controller",
        f"SlurmdSpoolDir={folder}/%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd-%n.log",
        f"SlurmctldPort={port[0]}",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "SchedulerType=sched/backfill",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU",
        f"MaxArraySize={MAX_ARRAY_SIZE}",
        "MpiDefault=none",
        "ReturnToService=2",
        "KillWait=5",
        f"NodeName={','.join(NODES)} NodeHostname={host} NodeAddr=127.0.0.1 "
        f"Port={','.join(map(str, port[1:]))} CPUs=1 RealMemory=2000 State=UNKNOWN",
        "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    ]
    configuration = folder / "slurm.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return configuration


def _free_ports(n: int) -> list[int]:
    """Ports that nobody listens to now."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait_for_nodes(folder: Path) -> None:
    """Until both nodes are idle; skips where a daemon does not run here, and says why."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.split() == ["idle"] * len(NODES):
            return
        time.sleep(0.2)
    logs = "".join(log.read_text()[-500:] for log in sorted(folder.glob("slurm*.log")))
    pytest.skip(f"SLURM does not run here: {logs}")


def _end(folder: Path) -> None:
    """End what a failed test has left in the queue, then the daemons; wait until they are gone."""
    subprocess.run(["scancel", "--me"], capture_output=True, check=False)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["squeue", "--noheader"], capture_output=True, text=True, check=False
        )
        if not asked.stdout.strip():
            break
        time.sleep(0.2)
    for file in [*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid", folder / "munged.pid"]:
        with suppress(OSError, ValueError):
            process = int(file.read_text())
            os.kill(process, signal.SIGTERM)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                os.kill(process, 0)  # ends the wait with an error once it is gone
                time.sleep(0.05)
