"""Which methods are drawn: as many as an eye can tell apart, never chosen by their results."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

MOST = 8


def drawn_methods(predictions: pd.DataFrame, first: Sequence[str] = ()) -> list[str]:
    """Methods of the figures, in the order of the table; the tables hold all.

    Args:
        predictions: A checked predictions table.
        first: Methods that are drawn before others, where there are more than eight.
    """
    known = [str(name) for name in predictions["method"].unique()]
    preferred = [name for name in dict.fromkeys(first) if name in known]
    chosen = {*[*preferred, *(name for name in known if name not in preferred)][:MOST]}
    return [name for name in known if name in chosen]
