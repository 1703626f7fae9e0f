"""Values of patches as NumPy holds them, so that reading and checking needs no PyTorch.

NumPy has no bfloat16: such values are tensors from the start, and what becomes bfloat16 becomes a
tensor. Everything else becomes one where a bag is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    Values = NDArray[Any] | Tensor

BagDtype = Literal["float16", "bfloat16", "float32"]

ITEM_BYTES: dict[BagDtype, int] = {"float16": 2, "bfloat16": 2, "float32": 4}
# The bits of the exponent; all of them are set in NaN and infinity, and in nothing else.
_EXPONENT: dict[int, int] = {2: 0x7C00, 4: 0x7F80_0000}


def bag_dtype(stored: str) -> BagDtype:
    """What the values of a file become in memory: float64 becomes float32."""
    dtypes: dict[str, BagDtype] = {"float64": "float32", **{name: name for name in ITEM_BYTES}}
    return dtypes[stored]


def narrowest(stored: Iterable[str]) -> BagDtype:
    """The narrowest dtype that holds values of all these, at least one."""
    names = {bag_dtype(name) for name in stored}
    return names.pop() if len(names) == 1 else "float32"


def dtype_name(values: Values) -> str:
    """The dtype's name."""
    return str(values.dtype).removeprefix("torch.")


def patches_of(stored: Values) -> Values:
    """Patches [n, F] of stored values [n, F] or [1, n, F]; float64 becomes float32."""
    if isinstance(stored, np.ndarray):
        native = np.float32 if stored.dtype.itemsize > 4 else stored.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):  # an overflow is told as infinity, with the file's name
            values: Values = np.ascontiguousarray(stored, dtype=native)
    else:
        values = stored.float() if stored.dtype.itemsize > 4 else stored
    return values[0] if values.ndim == 3 else values


def converted(values: Values, dtype: BagDtype) -> Values:
    """The values in another dtype; those beyond its range become infinite."""
    if dtype_name(values) == dtype:
        return values
    if isinstance(values, np.ndarray) and dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    import torch

    return as_tensor(values).to(getattr(torch, dtype))


def joined(parts: Sequence[Values]) -> Values:
    """Parts of one dtype and width, one after the other."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    import torch

    return torch.cat([as_tensor(part) for part in parts])


def as_tensor(values: Values) -> Tensor:
    """The same values as a tensor, without a copy."""
    import torch

    return torch.from_numpy(values) if isinstance(values, np.ndarray) else values


def as_bytes(values: Values) -> NDArray[np.uint8]:
    """The bytes of the values, as this machine stores them."""
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    import torch

    content: NDArray[np.uint8] = values.contiguous().reshape(-1).view(torch.uint8).numpy()
    return content


def require_finite(path: Path, values: Values) -> None:
    """Refuse NaN and infinite values.

    Args:
        path: The file that the message names.
        values: Patches [n, F].

    Raises:
        InputError: Any value is not finite; says in how many patches.
    """
    n_bad = _not_finite(values)
    if n_bad:
        raise InputError(
            f"{path} holds NaN or infinite values in {n_bad} of {len(values)} patches; extract "
            "its features again (float16 overflows above 65504)."
        )


def _not_finite(values: Values) -> int:
    """Patches that hold NaN or an infinite value."""
    if isinstance(values, np.ndarray):
        if _all_finite(values):
            return 0
        return int((~np.isfinite(values)).any(axis=1).sum())
    smallest, largest = values.aminmax()  # NaN wins; many times faster than isfinite().all()
    if smallest.isfinite() and largest.isfinite():
        return 0
    return int((~values.isfinite()).any(dim=1).sum())


def _all_finite(values: NDArray[Any]) -> bool:
    """Whether no value is NaN or infinite.

    As whole numbers with a sign, positive floats lie in their own order, and negative ones in
    theirs as numbers without: two largest values tell, in no memory beyond the values'.
    """
    size, exponent = values.dtype.itemsize, _EXPONENT[values.dtype.itemsize]
    sign = 1 << (8 * size - 1)
    positive, negative = values.view(f"i{size}"), values.view(f"u{size}")
    if not values.size:
        return True
    return bool(positive.max() < exponent and negative.max() < sign + exponent)
