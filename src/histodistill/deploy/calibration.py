"""``calibration.json`` of a bundle: calibrators, and the answers that certify triage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from histodistill.calibration.held_out import HeldOutAnswers
from histodistill.calibration.network_calibrator import NetworkCalibrator
from histodistill.calibration.triage import TriagePolicy
from histodistill.files import write_text
from histodistill.gate.records import damaged_record, read_record
from histodistill.model import NetworkName
from histodistill.settings import Settings

CALIBRATION = "calibration.json"


class BundleCalibration(Settings):
    """What makes answers of a bundle mean what they say.

    Attributes:
        networks: The calibrator of each network.
        held_out: Answers to patients who took no part in training, for two classes.
        triage: The policy of the experiment; None where it states none.
    """

    networks: dict[NetworkName, NetworkCalibrator] = Field(default_factory=dict)
    held_out: dict[NetworkName, HeldOutAnswers] = Field(default_factory=dict)
    triage: TriagePolicy | None = None

    @model_validator(mode="after")
    def _calibrated_by_somebody(self) -> BundleCalibration:
        for name, answers in self.held_out.items():
            if answers.scale == "calibrated" and name not in self.networks:
                raise ValueError(f"calibrated answers of {name}, and no calibrator")
        return self

    def save(self, folder: Path) -> None:
        """Write ``calibration.json`` into a bundle's folder."""
        write_text(folder / CALIBRATION, self.model_dump_json(indent=1) + "\n")


def read_calibration(folder: Path, n_classes: int, remedy: str) -> BundleCalibration | None:
    """Read ``calibration.json``; None where a bundle of an earlier version has none.

    Raises:
        InputError: It is damaged, or of a model of other classes.
    """
    path = folder / CALIBRATION
    if not path.exists():
        return None
    read = read_record(path, BundleCalibration, remedy)
    if any(len(each.patients) != n_classes for each in read.networks.values()):
        raise damaged_record(path, "calibrators of another number of classes", remedy)
    return read
