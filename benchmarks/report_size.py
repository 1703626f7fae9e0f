"""Size of a report and the time that it takes, for a large cohort and many methods.

    python benchmarks/report_size.py
    python benchmarks/report_size.py --patients 500 --methods 8 --resamples 2000

Predictions are drawn here: three targets, methods with one network (slides) and with three in turn,
two hundred hospitals, ages, numbers of slides. The size does not depend on the resamples; most of
the time does, so that the default draws few.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.evaluation import check_predictions
from histodistill.report import Report, write_report
from histodistill.report.evidence import Evidence

TARGETS = {"ER": 0.78, "PR": 0.69, "HER2": 0.13}
NETWORKS = ("student", "multimodal", "genomic")


def predictions(n_patients: int, n_methods: int, seed: int = 0) -> pd.DataFrame:
    """Out-of-fold predictions of every method, target and patient."""
    rng = np.random.default_rng(seed)
    names = [f"TCGA-{k % 97:02d}-{k:04d}" for k in range(n_patients)]
    tables = []
    for target, share in TARGETS.items():
        y = rng.random(n_patients) < share
        for number in range(n_methods):
            networks = NETWORKS if number % 2 else NETWORKS[:1]
            table = pd.DataFrame({"PATIENT": names, "fold": np.arange(n_patients) % 5})
            for network in networks:
                z = rng.normal(size=n_patients) + 2 * y - 1
                table[network] = 1 / (1 + np.exp(-z))
                table[f"{network}_calibrated"] = 1 / (1 + np.exp(-0.8 * z))
                table[f"{network}_threshold"] = 0.5
            label = np.where(y, "positive", "negative")
            tables.append(
                table.assign(
                    target=target,
                    method=f"method-{number:02d}",
                    seed=0,
                    repeat=0,
                    label=label,
                    positive_class="positive",
                )
            )
    return check_predictions(pd.concat(tables, ignore_index=True), "drawn")


def evidence(table: pd.DataFrame, seed: int = 1) -> Evidence:
    """Hospitals, ages and slides of the patients."""
    rng = np.random.default_rng(seed)
    names = pd.Index(sorted(table["PATIENT"].unique()), name="PATIENT")
    patients = pd.DataFrame(
        {
            "site": [f"S{k}" for k in rng.integers(0, 200, len(names))],
            "age": rng.integers(30, 90, len(names)).astype(float),
            "slides": rng.integers(1, 4, len(names)),
            "patches": rng.integers(100, 9000, len(names)),
        },
        index=names,
    )
    return Evidence(
        patients=patients, groups={"Age": patients["age"], "Slides": patients["slides"].astype(str)}
    )


def main() -> None:
    """Write a report and print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--methods", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=20)
    asked = parser.parse_args()
    table = predictions(asked.patients, asked.methods)
    started, processor = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        report = Report(
            "Large",
            table,
            reference="method-00 student",
            evidence=evidence(table),
            viewer="http://127.0.0.1:8765",
        )
        page = write_report(Path(folder), report, n_resamples=asked.resamples)
        size = page.stat().st_size / 1e6
    print(
        f"{asked.patients} patients, {asked.methods} methods, {len(TARGETS)} targets: "
        f"{size:.2f} MB; {time.monotonic() - started:.0f} s, "
        f"{time.process_time() - processor:.0f} s of the processor"
    )


if __name__ == "__main__":
    main()
