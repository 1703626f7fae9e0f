"""Calibrated probabilities as columns beside those that networks gave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from histodistill.calibration.network_calibrator import (
    CalibrationSettings,
    NetworkCalibrator,
    calibrate_network,
)
from histodistill.evaluation.layout import (
    calibrated_column,
    networks_in,
    probability_columns,
    target_classes,
)

Floats = npt.NDArray[np.float64]


def with_calibrated(
    tested: pd.DataFrame, validation: pd.DataFrame, settings: CalibrationSettings
) -> pd.DataFrame:
    """The answers of one fit, with calibrated ones beside them.

    Each network is calibrated on its validation patients alone, so that the calibrated answers are
    out of fold like the others.

    Args:
        tested: Its test patients, in the layout of predictions; a method a row.
        validation: Its validation patients, likewise.
        settings: Which calibrator.

    Returns:
        ``tested`` with a column ``NETWORK_calibrated`` (beyond two classes
        ``NETWORK_calibrated:CLASS``) for each network; empty where it could not be calibrated.
    """
    if settings.method == "none":
        return tested
    parts = []
    for method, rows in tested.groupby("method", sort=False):
        known = validation[validation["method"] == method].dropna(subset=["label"])
        columns: dict[str, Floats] = {}
        for network in networks_in(rows):
            columns |= _calibrated(rows, known, network, settings)
        parts.append(rows.assign(**columns))
    return pd.concat(parts).loc[tested.index]


def _calibrated(
    rows: pd.DataFrame, known: pd.DataFrame, network: str, settings: CalibrationSettings
) -> dict[str, Floats]:
    names = probability_columns(rows, network)
    positive = 1 if rows["positive_class"].notna().any() else None
    calibrator = _fitted(known, network, names, positive, settings)
    probabilities = calibrator.transform(_matrix(rows, names), positive)
    if positive is not None:
        return {calibrated_column(network): probabilities[:, 1]}
    return {calibrated_column(name): probabilities[:, place] for place, name in enumerate(names)}


def _fitted(
    known: pd.DataFrame,
    network: str,
    names: list[str],
    positive: int | None,
    settings: CalibrationSettings,
) -> NetworkCalibrator:
    classes = [name.removeprefix(f"{network}:") for name in names]
    if positive is not None:
        labels = (known["label"] == known["positive_class"]).astype("int64")
    else:
        labels = known["label"].map({label: i for i, label in enumerate(classes)}).astype("int64")
    y = labels.to_numpy()
    return calibrate_network(settings, y, _matrix(known, names), positive)


def _matrix(rows: pd.DataFrame, names: list[str]) -> Floats:
    """[n, C]; of a single column that of both classes, the positive second."""
    values = rows.reindex(columns=names).to_numpy(dtype=np.float64)
    return np.hstack([1 - values, values]) if len(names) == 1 else values


def uncalibrated(predictions: pd.DataFrame) -> list[str]:
    """A sentence for each network of a table with calibrated answers that lacks some of them."""
    notes = []
    for (target, method), rows in predictions.groupby(["target", "method"], sort=False):
        classes = target_classes(rows)
        for network in networks_in(rows):
            names = probability_columns(rows, network)
            calibrated = [calibrated_column(name) for name in names]
            if not set(calibrated) <= set(rows.columns):
                continue
            answered = rows[names].notna().all(axis=1)
            lacking = int((answered & rows[calibrated].isna().any(axis=1)).sum())
            if lacking:
                notes.append(
                    f"{target}, {method} {network}: {lacking} of {int(answered.sum())} answers are "
                    f"not calibrated, because their fold's validation patients lack one of the "
                    f"{len(classes)} classes"
                )
    return notes
