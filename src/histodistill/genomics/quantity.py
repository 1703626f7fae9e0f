"""Which quantity a table holds: counts or abundances, logarithms, z-scores, copy-number levels.

Judged by the values alone, and only where they leave no doubt. Expression varies over orders of
magnitude, so that counts, TPM and RSEM reach far beyond any logarithm; log2 of a count of reads
stays below 25; z-scores and log ratios lie around 0; GISTIC writes a few whole numbers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Quantity = Literal["raw", "logarithms", "centred", "levels", "unknown"]
Values = NDArray[np.floating]

NAMES: dict[Quantity, str] = {
    "raw": "raw counts, TPM or RSEM",
    "logarithms": "logarithms",
    "centred": "z-scores or log ratios",
    "levels": "copy-number levels such as GISTIC's",
    "unknown": "values of an unknown kind",
}

# What differences of logarithms are multiplied by where another base was taken.
LOGARITHMS = {
    "natural logarithms for log2": 0.693,
    "log10 for log2": 0.301,
    "log2 for natural logarithms": 1.443,
}

# Quantiles of a sample of this size are as good as those of the whole table.
_MOST_VALUES = 1_000_000
_FEWEST_VALUES = 30
_LARGEST_LOGARITHM = 25
_SMALLEST_RAW = 50
_LARGEST_LEVEL = 10


def quantity_of(values: Values) -> Quantity:
    """Which quantity some values are.

    Args:
        values: Any shape, NaN for missing; of one block, or of one patient.

    Returns:
        The quantity; ``unknown`` where the values are fewer than 30 or fit none beyond doubt.
    """
    known = values[np.isfinite(values)]
    known = known[:: max(1, len(known) // _MOST_VALUES)]
    if len(known) < _FEWEST_VALUES:
        return "unknown"
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.99])
    largest = float(np.abs(known).max())
    if largest <= _LARGEST_LEVEL and (known == np.round(known)).all():
        return "levels"
    if known.min() >= 0:
        # Raw values are skewed; percentages, say, are large and are not.
        if high > max(_SMALLEST_RAW, 3 * middle):
            return "raw"
        return "logarithms" if 3 < largest <= _LARGEST_LOGARITHM and middle > 0.5 else "unknown"
    # By its quantiles: a z-score against a spread of next to nothing can be tens of thousands.
    around_zero = low < 0 and max(-low, high) <= _SMALLEST_RAW and abs(middle) < 1
    return "centred" if around_zero else "unknown"


def transform_problem(quantity: Quantity, transform: str) -> str | None:
    """Why a transform does not fit a quantity, and the line of YAML that mends it."""
    if quantity == "raw" and transform == "none":
        return (
            "the values are raw counts, TPM or RSEM: a few highly expressed genes would drown all "
            "others; take logarithms with the line `transform: log2p1`"
        )
    if quantity in ("logarithms", "centred") and transform == "log2p1":
        return (
            f"the values are {NAMES[quantity]} already, and logarithms would be taken once more; "
            "write `transform: none`"
        )
    return None
