"""A network of the user's own in a TorchScript file, which is a program and is treated as one.

What a file calls is looked at before any of it runs: the functions of an archive are compiled to
graphs, and every node of every graph has a kind. The only code that would run while it is loaded
is a ``__setstate__``, so a file that has one is not loaded at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from histodistill.errors import InputError, listed

# Where the operators of networks live; libraries that are loaded may add others, with any effect.
_NAMESPACES = (
    *("aten", "prim", "prims", "quantized", "_quantized"),
    *("mkl", "mkldnn", "mkldnn_prepacked", "onednn", "sparse"),
)
# Operators of these namespaces that reach files, Python or other processes.
_REACHING_OUT = frozenset(
    (
        *("aten::save", "aten::from_file"),
        *("prim::PythonOp", "prim::IgnoredPythonOp"),
        *("prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote"),
    )
)
# C++ classes that a program may hold: the packed weights of quantised layers.
_NATIVE_CLASSES = "__torch__.torch.classes."
_KNOWN_NATIVE_CLASSES = f"{_NATIVE_CLASSES}quantized."


def load_torchscript(path: Path, device: torch.device, *, allow_code: bool = False) -> nn.Module:
    """A TorchScript file; it maps ``float [b, 3, H, W]`` to features ``[b, F]``.

    Args:
        path: The file.
        device: Where its tensors go.
        allow_code: The user's word that the program in the file may run.

    Raises:
        InputError: The file is no TorchScript archive, is not allowed to run, or calls what no
            network needs (files, Python, other processes).
    """
    require_permission(path, allow_code)
    try:
        _require_silent_loading(path)
        unit = torch._C.CompilationUnit()
        # What torch.jit.load does, with a unit that tells every function of the archive.
        read: Any = torch._C.import_ir_module
        module = read(unit, str(path), device, {}, False)
    except RuntimeError as error:
        raise InputError(
            f"{path} is not a TorchScript file ({str(error).splitlines()[0]}). Save it with "
            "torch.jit.script or torch.jit.trace."
        ) from error
    _require_harmless(path, unit)
    network: nn.Module = torch.jit._recursive.wrap_cpp_module(module)  # type: ignore[no-untyped-call]
    return network.eval()


def require_permission(path: Path | None, allow_code: bool) -> None:
    """Refuse a TorchScript file that the user has not allowed to run.

    Raises:
        InputError: ``allow_code`` is False.
    """
    if not allow_code:
        raise InputError(
            f"{path} is TorchScript, which is a program and not only weights. If you made the "
            "file or trust whoever did, allow it to run with --allow-torchscript-code; ONNX "
            "(--encoder onnx) holds no such code."
        )


def _require_silent_loading(path: Path) -> None:
    """Refuse archives that run code while they are loaded.

    Raises:
        InputError: There is a ``__setstate__``, or the archive is of the first format.
        RuntimeError: The file is no archive.
    """
    # The reader that torch.jit.load uses as well, so that both see the same records.
    archive: Any = torch._C.PyTorchFileReader(str(path))
    records = archive.get_all_records()
    if "constants.pkl" not in records:
        raise RuntimeError("no constants.pkl in it")
    code = [name for name in records if name.startswith("code/")]
    if any(b"__setstate__" in archive.get_record(name) for name in code):
        raise InputError(
            f"{path} runs code of its own while it is loaded (__setstate__), which is refused. "
            "Export the network with torch.jit.trace, or as ONNX."
        )


def _require_harmless(path: Path, unit: Any) -> None:
    called = {kind for function in unit.get_functions() for kind in _foreign_calls(function.graph)}
    if called:
        raise InputError(
            f"{path} calls {listed(sorted(called), 5)}, which no patch encoder needs: it could "
            "read or write files. It is refused and was not run."
        )


def _foreign_calls(graph: Any) -> Iterator[str]:
    """Everything in a graph or block that reaches beyond tensors."""
    for node in graph.nodes():
        kind = node.kind()
        if kind in _REACHING_OUT or kind.split("::")[0] not in _NAMESPACES:
            yield kind
        yield from _foreign_classes(node)
        for block in node.blocks():
            yield from _foreign_calls(block)
        if node.hasAttribute("Subgraph"):
            yield from _foreign_calls(node.g("Subgraph"))


def _foreign_classes(node: Any) -> Iterator[str]:
    for value in (*node.inputs(), *node.outputs()):
        name = value.type().annotation_str
        if _NATIVE_CLASSES in name and _KNOWN_NATIVE_CLASSES not in name:
            yield name
