"""The GPU, and kernels compiled for this processor; both need PyTorch, which is imported here."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from histodistill.computing.precision import WORTH, times_as_fast


@dataclass(frozen=True)
class Acceleration:
    """What makes training fast.

    Attributes:
        torch: What stands in the way of importing PyTorch; empty where nothing does.
        threads: Threads that PyTorch computes with.
        gpus: Name and memory of each GPU that PyTorch sees.
        cuda: CUDA that PyTorch was built for; None for a build without.
        compiler: Path of the C++ compiler; None where there is none.
        kernels: Instructions that the kernels of pooling use; None where they do not compile or
            load, so that PyTorch's own are used.
        bfloat16: How many times as fast as in float32 the processor multiplies in bfloat16, as
            measured; None where PyTorch is not there.
    """

    torch: str
    threads: int | None
    gpus: tuple[str, ...]
    cuda: str | None
    compiler: str | None
    kernels: str | None
    bfloat16: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Name and sentence of each thing."""
        if self.torch:
            return [
                (
                    "PyTorch",
                    f"cannot be imported ({self.torch}); pip install --force-reinstall torch",
                )
            ]
        return [
            ("GPU", ", ".join(self.gpus) or self._without_gpu()),
            ("PyTorch threads", str(self.threads)),
            ("compiler", self.compiler or "none; install one (g++ or clang++), or set CXX"),
            ("kernels", self._kernels()),
            ("bfloat16", self._bfloat16()),
        ]

    def _without_gpu(self) -> str:
        if self.cuda is None:
            return "none, and this build of PyTorch has no CUDA; trains on the CPU"
        return f"PyTorch sees none (its CUDA is {self.cuda}; nvidia-smi shows the driver's)"

    def _bfloat16(self) -> str:
        ratio = self.bfloat16 or 1.0
        told = (
            f"{ratio:.2g} times as fast as" if ratio >= 1 else f"{1 / ratio:.2g} times slower than"
        )
        auto = "bfloat16" if ratio >= WORTH else "float32"
        return f"on this processor {told} float32, as measured; `precision: auto` trains in {auto}"

    def _kernels(self) -> str:
        if self.kernels is not None:
            return f"compiled for this processor: {self.kernels}"
        if os.environ.get("HISTODISTILL_COMPILE") == "0":
            return "not compiled, as HISTODISTILL_COMPILE=0 says; PyTorch's own are used"
        return (
            "do not compile; PyTorch's own are used, which are slower: they need a C++ compiler "
            "with OpenMP and a cache folder that is yours"
        )


def acceleration() -> Acceleration:
    """Import PyTorch, look for GPUs, and compile the kernels unless they are already."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    try:
        import torch

        from histodistill.model.pooling.kernels import kernel_instructions
    except (ImportError, OSError) as error:
        return Acceleration(str(error), None, (), None, compiler, kernels=None)
    return Acceleration(
        torch="",
        threads=torch.get_num_threads(),
        gpus=tuple(_gpu(index) for index in range(torch.cuda.device_count())),
        cuda=torch.version.cuda,
        compiler=compiler,
        kernels=kernel_instructions(),
        bfloat16=times_as_fast("bfloat16"),
    )


def _gpu(index: int) -> str:
    import torch

    found = torch.cuda.get_device_properties(index)
    return f"{found.name}, {found.total_memory / 1e9:,.0f} GB"
