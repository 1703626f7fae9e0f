r"""The known truth of a simulated cohort: latent variables, hospital, label and survival.

For a patient i, all independent::

    z_s, z_g, z_d ~ N(0, 1)     shared, genomic-only and distractor latent
    e ~ N(0, 1)                 label noise
    score = a z_s + b z_g + σ e
    ER positive  <=>  score > t,   t = -sqrt(a² + b² + σ²) Φ⁻¹(positive share)

a = `shared_signal`, b = `genomic_signal`, σ = `label_noise`. The shared latent is visible in
slides and genes, the genomic-only latent in genes, the distractor in slides. With a = 0 the
label is independent of everything that a slide shows. Overall survival is exponential with
hazard exp(-(z_s + z_g)/2) / 80 a month, censored uniformly between 12 and 120 months, so that
genes of both programmes have a prognostic value too. A confounder, where one is set, is on the
slides of a patient with a probability that hangs on the label, and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from histodistill.evaluation import roc_auc
from histodistill.simulation.settings import CohortSettings, SimulationSettings

_SURVIVAL_SCALE_MONTHS = 80.0
_CENSORING_MONTHS = (12.0, 120.0)


class Stream(IntEnum):
    """Independent random streams of one seed: drawing more from one leaves the others alone."""

    LATENT = 0
    AVAILABILITY = 1
    CLINICAL = 2
    GENES = 3
    PATCH_MODEL = 4
    PATCHES = 5
    MORPHOLOGY = 6
    STAIN = 7
    PIXELS = 8
    CONFOUNDER = 9
    TILES = 10
    TISSUE = 11


@dataclass(frozen=True)
class SimulatedSlide:
    """A slide, and what its patient and hospital put into it.

    Attributes:
        patient: The patient's identifier.
        name: The slide's name, without a suffix.
        key: Number of the patient and of the slide, from 0: what its random stream hangs on.
        site: Number of the hospital, from 0.
        shared: The patient's shared latent z_s.
        distractor: The patient's distractor latent z_d.
        confounded: Whether the slide shows the confounder.
    """

    patient: str
    name: str
    key: tuple[int, int]
    site: int
    shared: float
    distractor: float
    confounded: bool = False


def generator(settings: CohortSettings, stream: Stream, *index: int) -> np.random.Generator:
    """The random generator of a stream and, within it, of an item (a patient, a slide)."""
    return np.random.default_rng([settings.seed, int(stream), *index])


def draw_truth(settings: CohortSettings) -> pd.DataFrame:
    """Draw every patient's latent variables and what follows from them.

    Args:
        settings: The cohort's settings.

    Returns:
        A row a patient: PATIENT (SIM-S03-0042, S03 the hospital), SITE, SHARED, GENOMIC_ONLY,
        DISTRACTOR, LABEL_NOISE, SCORE, ER (known for all), CONFOUNDED, AGE, OS_MONTHS,
        OS_STATUS, HAS_GENOMICS, HAS_LABEL, SLIDES (1 or 2).
    """
    rng = generator(settings, Stream.LATENT)
    shared, genomic, distractor, noise = rng.standard_normal((4, settings.n_patients))
    site = rng.integers(settings.n_sites, size=settings.n_patients)
    score = (
        settings.shared_signal * shared
        + settings.genomic_signal * genomic
        + settings.label_noise * noise
    )
    positive = score > _threshold(settings)
    sites = [f"S{number + 1:02d}" for number in site]
    truth = pd.DataFrame(
        {
            "PATIENT": [f"SIM-{name}-{number:04d}" for number, name in enumerate(sites, start=1)],
            "SITE": sites,
            "SHARED": shared,
            "GENOMIC_ONLY": genomic,
            "DISTRACTOR": distractor,
            "LABEL_NOISE": noise,
            "SCORE": score,
            "ER": np.where(positive, "positive", "negative"),
            "CONFOUNDED": _confounded(settings, positive),
        }
    )
    return pd.concat(
        [truth, _survival(settings, shared + genomic), _availability(settings)], axis="columns"
    )


class BestAucs(NamedTuple):
    """The AUCs of somebody who knows the latent variables: no model can be expected to do better.

    Attributes:
        patients: Patients whose label is known; the AUCs are theirs.
        slides: Of the shared latent, which is all that slides show of the label.
        genomics: Of both latents that genes show, weighted as the label has them.
    """

    patients: int
    slides: float
    genomics: float

    def __str__(self) -> str:
        return (
            f"Best possible AUC of ER, from the simulated truth of {self.patients} labelled "
            f"patients: {self.slides:.3f} from slides, {self.genomics:.3f} with genomics."
        )


def best_aucs(settings: CohortSettings, truth: pd.DataFrame) -> BestAucs:
    """What can be reached on the labelled patients of a cohort; NaN where a class has nobody.

    Args:
        settings: The cohort's settings.
        truth: The patients, from `draw_truth`.
    """
    labelled = truth[truth["HAS_LABEL"]]
    positive = (labelled["ER"] == "positive").to_numpy()
    shared = settings.shared_signal * labelled["SHARED"]
    both = shared + settings.genomic_signal * labelled["GENOMIC_ONLY"]
    return BestAucs(
        len(labelled), roc_auc(positive, shared.to_numpy()), roc_auc(positive, both.to_numpy())
    )


def slides_of(truth: pd.DataFrame) -> list[SimulatedSlide]:
    """Every slide of a cohort, patient by patient.

    Args:
        truth: The patients, from `draw_truth`.
    """
    return [
        SimulatedSlide(
            patient=str(row["PATIENT"]),
            name=f"{row['PATIENT']}-simulated-{slide + 1}",
            key=(number, slide),
            site=site_number(str(row["SITE"])),
            shared=float(row["SHARED"]),
            distractor=float(row["DISTRACTOR"]),
            confounded=bool(row["CONFOUNDED"]),
        )
        for number, row in enumerate(truth.to_dict("records"))
        for slide in range(int(row["SLIDES"]))
    ]


def site_number(site: str) -> int:
    """Number of a hospital, from 0: S01 is 0."""
    return int(site[1:]) - 1


def _threshold(settings: CohortSettings) -> float:
    """The score above which a patient is positive, from the score's known distribution."""
    spread = np.linalg.norm([settings.shared_signal, settings.genomic_signal, settings.label_noise])
    return float(-spread * ndtri(settings.positive_share))


def _confounded(settings: CohortSettings, positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whose slides show the confounder."""
    # Real tiles have no place for one.
    confounder = settings.confounder if isinstance(settings, SimulationSettings) else None
    if confounder is None:
        return np.zeros(len(positive), dtype=bool)
    drawn = generator(settings, Stream.CONFOUNDER).random(len(positive))
    agrees = drawn < confounder.agreement
    return np.asarray(agrees == positive)


def _survival(settings: CohortSettings, benefit: NDArray[np.float64]) -> pd.DataFrame:
    """Age, and censored exponential survival that is longer where the latents are higher."""
    rng = generator(settings, Stream.CLINICAL)
    age = rng.normal(58, 12, settings.n_patients).clip(28, 92).round()
    death = rng.exponential(_SURVIVAL_SCALE_MONTHS * np.exp(benefit / 2))
    censored = rng.uniform(*_CENSORING_MONTHS, size=settings.n_patients)
    status = np.where(death <= censored, "1:DECEASED", "0:LIVING")
    months = np.minimum(death, censored).round(2)
    return pd.DataFrame({"AGE": age, "OS_MONTHS": months, "OS_STATUS": status})


def _availability(settings: CohortSettings) -> pd.DataFrame:
    """Which patients have genomics, a known label and a second slide."""
    rng = generator(settings, Stream.AVAILABILITY)

    def chosen(share: float) -> NDArray[np.bool_]:
        count = round(share * settings.n_patients)
        return rng.permutation(settings.n_patients) < count

    return pd.DataFrame(
        {
            "HAS_GENOMICS": ~chosen(settings.share_without_genomics),
            "HAS_LABEL": ~chosen(settings.share_without_label),
            "SLIDES": 1 + chosen(settings.share_with_two_slides),
        }
    )
