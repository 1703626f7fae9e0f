"""Out-of-fold answers of one network to labelled patients, with the fold of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.hospitals import Groups, other_hospitals
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.calibration.out_of_fold import calibrated_out_of_fold
from histodistill.errors import InputError
from histodistill.evaluation.answers import answers_of
from histodistill.evaluation.layout import networks_in, target_classes


@dataclass(frozen=True)
class LabelledAnswers:
    """Answers to n patients.

    Attributes:
        patients: Their names.
        y: [n], 1 for positive patients, otherwise 0.
        p: [n], the probability of the positive class, mean over seeds and repeats.
        fold: [n], the fold of the first repeat in which each was tested.
        hospital: [n], the hospital of each by number, where no hospital is in two folds: triage
            is then promised for other hospitals. None otherwise, or where they are not known.
    """

    patients: tuple[str, ...]
    y: npt.NDArray[np.int64]
    p: Floats
    fold: npt.NDArray[np.int64]
    hospital: Groups | None = None

    def calibrated(self) -> LabelledAnswers:
        """The same answers, those of each fold calibrated on the others.

        Raises:
            InputError: The others of a fold are of one class alone.
        """
        p = calibrated_out_of_fold(self.y, self.p, self.fold, CalibrationSettings())
        return replace(self, p=p)

    def table(self) -> pd.DataFrame:
        """A row a patient."""
        return pd.DataFrame(
            {"PATIENT": self.patients, "positive": self.y, "probability": self.p, "fold": self.fold}
        )


def labelled_answers(
    rows: pd.DataFrame, network: str, sites: pd.Series | None = None
) -> LabelledAnswers:
    """The answers of a network in rows of one target and one method.

    Args:
        rows: Checked predictions.
        network: The network.
        sites: The hospital of each patient (the index); None where none is known.

    Raises:
        InputError: The network has not answered, there are more than two classes, one fold
            alone, or one class alone outside of a fold.
    """
    classes = target_classes(rows)
    known = networks_in(rows)
    if network not in known:
        raise InputError(f"no network {network!r} has answered; there are: {', '.join(known)}")
    if len(classes) != 2:
        raise InputError(f"triage is for two classes; there are {len(classes)}")
    answers = answers_of(rows, network, classes)
    fold = rows.sort_values(["repeat", "seed"]).groupby("PATIENT")["fold"].first()
    folds = fold.loc[list(answers.patients)].to_numpy(dtype=np.int64)
    if len(np.unique(folds)) < 2:
        raise InputError(
            "the predictions are of one fold; triage is chosen on some folds and judged on others"
        )
    for fold_number in np.unique(folds):
        rest = answers.y[folds != fold_number]
        if len(np.unique(rest)) < 2:
            raise InputError(
                f"the {len(rest)} labelled patients outside fold {fold_number} are all "
                f"{classes[int(rest[0])]}, so that nothing can be chosen on them; triage takes "
                "patients of both classes in every fold"
            )
    hospital = other_hospitals(sites, answers.patients, folds)
    return LabelledAnswers(answers.patients, answers.y, answers.positive, folds, hospital)
