"""Kinds of processors that compiled code is tried for: here, or under an emulator."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from histodistill.computing.compiled import OPTIONS

# What a compiler is told, what the processor must have to run it, and what it then uses.
X86 = {
    "x86-64": (set(), "no vector instructions that are known here"),
    "x86-64-v3": ({"avx2", "fma", "f16c"}, "AVX2"),
    "x86-64-v4": ({"avx512f", "avx512bw", "avx512vl"}, "AVX-512"),
    "sapphirerapids": ({"amx_bf16", "avx512_bf16", "avx512_fp16"}, "AVX-512 with bfloat16"),
}
ARM = {"armv8-a": "NEON", "armv8.6-a+sve": "NEON"}
USED = {target: used for target, (_, used) in X86.items()} | ARM


def program(target: str, driver: Path, sources: Mapping[str, Path], folder: Path) -> list[str]:
    """The command that runs a driver with its sources, compiled for a kind of processor.

    The test is skipped where this machine can neither compile nor run it.
    """
    if target in ARM:
        emulator = shutil.which("qemu-aarch64")
        if emulator is None:
            pytest.skip("no qemu-aarch64 (Debian's qemu-user)")
        made = _built("aarch64-linux-gnu-g++", target, driver, sources, folder)
        return [emulator, "-cpu", "max", str(made)]
    needed, _ = X86[target]
    if platform.machine() != "x86_64":
        pytest.skip("this is no x86 processor")
    if not needed <= _flags():
        pytest.skip(f"this processor lacks {', '.join(sorted(needed - _flags()))}")
    return [str(_built("c++", target, driver, sources, folder))]


def _flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith("flags") for word in line.split()}


def _built(
    compiler: str, target: str, driver: Path, sources: Mapping[str, Path], folder: Path
) -> Path:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    defined = [f'-D{name}="{path}"' for name, path in sources.items()]
    target_options = [f"-march={target}", "-static"]
    command = [compiler, *OPTIONS, *target_options, *defined, str(driver), "-o"]
    made = subprocess.run([*command, str(folder / "driver")], capture_output=True, text=True)
    if "march" in made.stderr:
        pytest.skip(f"{compiler} knows no {target}")
    assert made.returncode == 0, made.stderr
    return folder / "driver"
