"""Teachers that several methods share: finished first, they answer the same for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from histodistill.evaluation.layout import probability_columns

Repeats = Mapping[tuple[str, str], str]
"""By network and method: the method that stands for it."""

TEACHERS = ("multimodal", "genomic")
_ANSWER = ["target", "PATIENT", "seed", "repeat", "fold"]


def repeated_teachers(predictions: pd.DataFrame, kept: Collection[str] = ()) -> Repeats:
    """The teachers that say what an earlier method's say, to the last digit, for every patient.

    Many ways to distil are taught by the same finished teachers, which would else be ranked,
    compared and corrected for once a way. Methods without a student are never repeats.

    Args:
        predictions: A checked predictions table.
        kept: Methods that stand for themselves in any case.
    """
    taught = set(predictions.loc[_answers(predictions, "student"), "method"]) - set(kept)
    repeats: dict[tuple[str, str], str] = {}
    for network in TEACHERS:
        answering = predictions[_answers(predictions, network)]
        firsts: dict[bytes, str] = {}
        for method, rows in answering.groupby("method", sort=False):
            said = rows.sort_values(_ANSWER)[[*_ANSWER, *probability_columns(rows, network)]]
            content = pd.util.hash_pandas_object(said, index=False).to_numpy().tobytes()
            first = firsts.setdefault(content, str(method))
            if first != method and method in taught:
                repeats[network, str(method)] = first
    return repeats


def without_repeats(predictions: pd.DataFrame, repeats: Repeats) -> pd.DataFrame:
    """The table without the answers of those teachers; students stay."""
    left = predictions.copy()
    for network, method in repeats:
        columns = probability_columns(left, network)
        left.loc[left["method"] == method, columns] = float("nan")
    return left


def _answers(predictions: pd.DataFrame, network: str) -> pd.Series[bool]:
    """Where a network answers."""
    answered: pd.Series[bool] = (
        predictions[probability_columns(predictions, network)].notna().any(axis=1)
    )
    return answered
