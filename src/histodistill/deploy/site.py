"""``sites/NAME.json`` of a bundle: what recalibration for one site found; the original stays."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, ValidationError

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.held_out import HeldOutAnswers, Probability
from histodistill.calibration.site import Alignment, log_odds
from histodistill.deploy.calibration import BundleCalibration
from histodistill.errors import InputError
from histodistill.files import write_json
from histodistill.gate.records import damaged_record, first_problem
from histodistill.gate.text import read_json
from histodistill.model import NetworkName
from histodistill.settings import Settings

SITES = "sites"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_REMEDY = "calibrate for the site again with --replace, or remove the file"
_Interval = tuple[FiniteFloat, FiniteFloat]


class SiteNetwork(Settings):
    """One network at one site.

    Attributes:
        shift: Of log odds, from training to the site.
        stretch: Of log odds.
        share: Share of positive patients at the site.
        shift_interval: With 95 % confidence.
        stretch_interval: Likewise.
        share_interval: Likewise.
        threshold: Operating threshold of the given probability at the site; None without one.
        sensitivity: That of the model's held-out patients at its threshold, which the alignment
            carries over, with what the site's few patients leave open.
    """

    shift: FiniteFloat
    stretch: PositiveFloat
    share: Annotated[float, Field(gt=0, lt=1)]
    shift_interval: _Interval
    stretch_interval: _Interval
    share_interval: _Interval
    threshold: Probability | None = None
    sensitivity: tuple[Probability, Probability, Probability] | None = None

    @property
    def alignment(self) -> Alignment:
        """The three numbers as a map."""
        return Alignment(self.shift, self.stretch, self.share)


class SiteCalibration(Settings):
    """What a bundle's answers mean at one site.

    Attributes:
        site: The site's name.
        bundle: Fingerprint of the bundle.
        labelled: Labelled patients of the site behind it.
        unlabelled: Patients without a label behind it.
        networks: Each network.
        held_out: Calibrated answers to the labelled patients, which certify triage there.
    """

    site: str
    bundle: str
    labelled: NonNegativeInt
    unlabelled: NonNegativeInt
    networks: dict[NetworkName, SiteNetwork] = Field(min_length=1)
    held_out: dict[NetworkName, HeldOutAnswers]

    def calibrated(
        self,
        name: NetworkName,
        probabilities: Floats,
        positive: int,
        original: BundleCalibration,
    ) -> Floats:
        """Calibrated class probabilities [n, 2] of patients of the site.

        Args:
            name: A network.
            probabilities: Those that it gave, [n, 2].
            positive: Which class is positive.
            original: The bundle's own calibration.
        """
        if name not in self.networks:
            return np.full(probabilities.shape, np.nan)
        p = site_probability(self.networks[name], probabilities, positive, name, original)
        return np.column_stack([1 - p, p] if positive == 1 else [p, 1 - p])

    def save(self, folder: Path) -> Path:
        """Write it into a bundle's folder, whole or not at all."""
        require_site_name(self.site)
        plain = self.model_dump(mode="json")
        path = folder / SITES / f"{self.site}.json"
        write_json(path, {"sha256": _digest(plain), "calibration": plain})
        return path


def training_scale(
    probabilities: Floats, positive: int, name: NetworkName, original: BundleCalibration
) -> Floats:
    """Probabilities [n] on the scale of the bundle's held-out answers: as given, or calibrated."""
    if original.held_out[name].scale == "as given":
        return probabilities[:, positive]
    return original.networks[name].transform(probabilities, positive)[:, positive]


def site_probability(
    own: SiteNetwork,
    probabilities: Floats,
    positive: int,
    name: NetworkName,
    original: BundleCalibration,
) -> Floats:
    """Calibrated probability [n] of the positive class at a site.

    The answers are taken back to training, calibrated as there, and moved to the site's share of
    positive patients (Saerens et al. 2002, eq. 2.4).
    """
    back = own.alignment.as_training(training_scale(probabilities, positive, name, original))
    kept = original.held_out[name]
    if kept.scale == "as given":
        both = np.column_stack([1 - back, back] if positive == 1 else [back, 1 - back])
        back = original.networks[name].transform(both, positive)[:, positive]
    usual = float(log_odds([kept.y.mean()])[0])
    moved = log_odds(back) + float(log_odds([own.share])[0]) - usual
    return np.where(np.isnan(back), np.nan, 1 / (1 + np.exp(-moved)))


def has_sites(folder: Path) -> bool:
    """Whether a bundle was calibrated for any site."""
    return (folder / SITES).is_dir()


def read_sites(folder: Path, fingerprint: str) -> dict[str, SiteCalibration]:
    """All sites that a bundle was calibrated for.

    Raises:
        InputError: A file is damaged, or of another bundle.
    """
    return {
        path.stem: _read(path, fingerprint) for path in sorted((folder / SITES).glob("[!.]*.json"))
    }


def require_site_name(name: str) -> None:
    """Refuse a name that is no plain file name.

    Raises:
        InputError: It is not.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--site {name!r}: use up to 64 letters, digits and . _ + - and begin with a letter or "
            "a digit"
        )


def _read(path: Path, fingerprint: str) -> SiteCalibration:
    try:
        stored = read_json(path)
        plain = stored["calibration"]
        if _digest(plain) != stored["sha256"]:
            raise ValueError("its content changed")
        read = SiteCalibration.model_validate(plain)
    except ValidationError as error:
        raise damaged_record(path, first_problem(error), _REMEDY) from error
    except (ValueError, KeyError, TypeError) as error:
        raise damaged_record(path, f"{type(error).__name__}: {error}", _REMEDY) from error
    if read.site != path.stem or read.bundle != fingerprint:
        raise damaged_record(path, "it is of another site, or of another bundle", _REMEDY)
    return read


def _digest(plain: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
