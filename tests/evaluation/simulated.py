"""Simulated predictions tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from histodistill.evaluation import check_predictions


def two_class(
    n: int = 60,
    methods: Sequence[tuple[str, float]] = (("abmil", 1.0), ("mkd", 2.0)),
    seeds: Sequence[int] = (0,),
    networks: Sequence[str] = ("student",),
    target: str = "ER",
) -> pd.DataFrame:
    """Out-of-fold predictions of methods whose logits differ by ``gain`` between the classes."""
    generator = np.random.default_rng(7)
    y = (np.arange(n) % 3 > 0).astype(int)
    shared = generator.normal(size=n)
    tables = []
    for method, gain in methods:
        for seed in seeds:
            table = pd.DataFrame(
                {
                    "PATIENT": [f"P{i:03d}" for i in range(n)],
                    "target": target,
                    "method": method,
                    "seed": seed,
                    "repeat": 0,
                    "fold": np.arange(n) % 5,
                    "label": np.where(y == 1, "positive", "negative"),
                    "positive_class": "positive",
                }
            )
            for network in networks:
                logit = gain * (y - 0.5) + 0.7 * shared + 0.7 * generator.normal(size=n)
                table[network] = 1 / (1 + np.exp(-logit))
                table[f"{network}_threshold"] = 0.5
            tables.append(table)
    return check_predictions(pd.concat(tables), "simulated")


def three_class(n: int = 45) -> pd.DataFrame:
    """Predictions of three classes by one network."""
    generator = np.random.default_rng(3)
    classes = ["Basal", "LumA", "LumB"]
    y = np.arange(n) % 3
    logits = 1.2 * np.eye(3)[y] + generator.normal(size=(n, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "PATIENT": [f"P{i:03d}" for i in range(n)],
            "target": "PAM50",
            "method": "mkd",
            "seed": 0,
            "repeat": 0,
            "fold": (np.arange(n) // 3) % 3,
            "label": [classes[k] for k in y],
            "positive_class": np.nan,
        }
    )
    for k, name in enumerate(classes):
        table[f"student:{name}"] = p[:, k]
    return check_predictions(table, "simulated")
