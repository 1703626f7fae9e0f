"""What methods cost: parameters, training and inference time, averaged over fits."""

from __future__ import annotations

import pandas as pd

from histodistill.errors import InputError, listed

KEY = ["target", "network", "method"]
FIGURES = ("parameters", "training_seconds", "inference_ms")


def mean_costs(costs: pd.DataFrame | None) -> pd.DataFrame:
    """The costs of each target, network and method.

    Args:
        costs: A row a fit and network: ``target``, ``network``, ``method``, ``parameters`` (of
            the networks that inference needs), ``training_seconds`` (of the whole method),
            ``inference_ms`` (a patient); further columns are ignored. None or no rows where
            nothing was measured.

    Returns:
        Indexed by ``target``, ``network`` and ``method``: the median of ``parameters`` (Int64)
        and of ``inference_ms`` (a first call may be slow), the mean of ``training_seconds``.

    Raises:
        InputError: Columns that are missing or hold what is not a number.
    """
    if costs is None or costs.empty:
        costs = pd.DataFrame(columns=[*KEY, *FIGURES])
    missing = [name for name in (*KEY, *FIGURES) if name not in costs]
    if missing:
        raise InputError(f"The column(s) {listed(missing)} are missing from the costs.")
    numbers = costs[list(FIGURES)].apply(pd.to_numeric, errors="coerce")
    wrong = [name for name in FIGURES if (numbers[name].isna() & costs[name].notna()).any()]
    if wrong:
        raise InputError(f"The costs' column(s) {listed(wrong)} hold what is not a number.")
    keys = [costs[name].astype(str) for name in KEY]
    by_method = numbers.astype("float64").groupby(keys, sort=False)
    return pd.DataFrame(
        {
            "parameters": by_method["parameters"].median().round().astype("Int64"),
            "training_seconds": by_method["training_seconds"].mean(),
            "inference_ms": by_method["inference_ms"].median(),
        }
    )
