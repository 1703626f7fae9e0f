"""How much of the signal a patch classifier finds that is told each tile's tissue; for regimes.py.

No student is told: it knows the labels and genes of whole patients. What this classifier leaves to
counting the patches is the encoder's; what a student leaves to it is the student's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from histodistill import open_bags

# The part of a cohort that is tested; the tiles of the others teach.
TESTED = 0


def told_scores(cohort: Path) -> pd.Series[float]:
    """Expected patches with signal of each tested patient, by a support vector machine on tiles.

    Args:
        cohort: A cohort of `histodistill simulate --tiles`, with the truth of its patches.
    """
    parts = pd.read_csv(cohort / "truth.csv").set_index("PATIENT")["PART"]
    owners = pd.read_csv(cohort / "slides.csv").set_index("FILENAME")["PATIENT"]
    owners.index = owners.index.str.removesuffix(".h5")
    patches = pd.read_csv(cohort / "truth_patches.csv")
    patches["PATIENT"] = patches["SLIDE"].map(owners)
    x = _features(cohort, list(patches["SLIDE"].unique()))
    signal = (patches["SIGNAL"] == "yes").to_numpy()
    tested = (patches["PATIENT"].map(parts) == TESTED).to_numpy()
    taught = ~tested & ~patches["TILE"].duplicated().to_numpy()
    machine = make_pipeline(StandardScaler(), SVC(C=3.0))
    classifier = CalibratedClassifierCV(machine, ensemble=False).fit(x[taught], signal[taught])
    found = classifier.predict_proba(x[tested])[:, 1]
    # Tiles with signal are more frequent among tiles than among the patches of patients.
    shares = signal[taught].mean(), signal[~tested].mean()
    weighted = pd.Series(_at_share(found, *shares), index=patches["PATIENT"][tested])
    return weighted.groupby(level=0).sum()


def _features(cohort: Path, slides: list[str]) -> NDArray[np.float32]:
    """Features of the patches of slides, in their order, float32 [patches, features]."""
    bags = open_bags({slide: [cohort / "features" / f"{slide}.h5"] for slide in slides})
    return np.concatenate([bags.bag(slide).float().numpy() for slide in slides])


def _at_share(
    probabilities: NDArray[np.float64], of_tiles: float, of_patches: float
) -> NDArray[np.float64]:
    """Probabilities where the share of signal is another than in training (Bayes)."""
    odds = probabilities / np.clip(1 - probabilities, 1e-12, None)
    odds = odds * (of_patches / (1 - of_patches)) / (of_tiles / (1 - of_tiles))
    return odds / (1 + odds)
