"""What one network answered for a set of labelled patients, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from histodistill.evaluation.layout import are_ordered, class_columns, from_name, rest_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Labels and probabilities of n patients.

    Attributes:
        patients: The patients' names, n of them.
        y: [n] int64, each patient's class as an index into ``classes``.
        probabilities: [n, C] float64, one column a class. With two classes column 1 is the
            positive class.
        classes: The C class names.
        thresholds: [n] float64, each patient's operating threshold on the probability of the
            positive class (patients of different folds have different ones); NaN where there is
            none, and beyond two classes.
        decided: [n] int64, the class called, where neither thresholds nor the most probable class
            decide.
        ordered: Whether the classes stand in an order, from the least to the most.
    """

    patients: tuple[str, ...]
    y: IntArray
    probabilities: FloatArray
    classes: tuple[str, ...]
    thresholds: FloatArray
    decided: IntArray | None = None
    ordered: bool = False

    @classmethod
    def two_class(
        cls,
        y: npt.ArrayLike,
        positive: npt.ArrayLike,
        threshold: float = float("nan"),
        classes: tuple[str, str] = ("negative", "positive"),
    ) -> Answers:
        """Answers from plain arrays.

        Args:
            y: [n], 1 for patients of the positive class, otherwise 0.
            positive: [n], the probability of the positive class.
            threshold: The operating threshold of all patients.
            classes: Names of the negative and the positive class.
        """
        p = np.asarray(positive, dtype=np.float64)
        return cls(
            patients=tuple(str(i) for i in range(len(p))),
            y=np.asarray(y, dtype=np.int64),
            probabilities=np.column_stack([1 - p, p]),
            classes=classes,
            thresholds=np.full(len(p), threshold),
        )

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def binary(self) -> bool:
        """Whether there are two classes, the second one positive."""
        return len(self.classes) == 2

    @property
    def positive(self) -> FloatArray:
        """[n] probability of the positive class (two classes)."""
        return self.probabilities[:, 1]

    @property
    def has_calls(self) -> bool:
        """Whether each patient can be called: a threshold for two classes, argmax beyond."""
        if self.decided is not None or not self.binary:
            return True
        return not bool(np.isnan(self.thresholds).any())

    @property
    def calls(self) -> IntArray:
        """[n] class called: positive at or above the threshold; beyond two classes the argmax."""
        if self.decided is not None:
            return self.decided
        if self.binary:
            return (self.positive >= self.thresholds).astype(np.int64)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def against_rest(self, index: int) -> Answers:
        """One class against all others: two classes, that one positive, called as before."""
        p = self.probabilities[:, index]
        return Answers(
            self.patients,
            (self.y == index).astype(np.int64),
            np.column_stack([1 - p, p]),
            (rest_of(self.classes[index]), self.classes[index]),
            np.full(len(self), np.nan),
            (self.calls == index).astype(np.int64) if self.has_calls else None,
        )

    def from_class(self, index: int) -> Answers:
        """That class and all above it against those below, without calls (ordered classes)."""
        p = self.probabilities[:, index:].sum(axis=1)
        return Answers(
            self.patients,
            (self.y >= index).astype(np.int64),
            np.column_stack([1 - p, p]),
            (f"below {self.classes[index]}", from_name(self.classes[index])),
            np.full(len(self), np.nan),
        )

    def missing_classes(self) -> list[str]:
        """Names of the classes that no patient has."""
        present = set(self.y.tolist())
        return [name for k, name in enumerate(self.classes) if k not in present]

    def of(self, patients: list[str]) -> Answers:
        """The same answers for some of the patients, in the order given."""
        place = {name: i for i, name in enumerate(self.patients)}
        rows = np.array([place[name] for name in patients], dtype=np.int64)
        return Answers(
            tuple(patients),
            self.y[rows],
            self.probabilities[rows],
            self.classes,
            self.thresholds[rows],
            None if self.decided is None else self.decided[rows],
            self.ordered,
        )


def answers_of(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> Answers:
    """The answers of one network in rows of a checked predictions table.

    A patient with several rows (seeds, repeats) is one patient: probabilities and thresholds are
    averaged over the rows, so that a call says whether the mean probability reaches the mean
    threshold. Rows without a label or without an answer of this network are left out.

    Args:
        rows: Rows of one target and one method.
        network: Name of the network.
        classes: The target's classes, as ``target_classes`` gives them.
    """
    columns = _columns(rows, network, classes)
    if not columns:
        return _nobody(classes)
    usable = rows.dropna(subset=["label", *columns])
    if f"{network}_threshold" in usable:
        usable = usable.assign(threshold=usable[f"{network}_threshold"])
    else:
        usable = usable.assign(threshold=np.nan)
    patients = usable.groupby("PATIENT")
    means = patients[[*columns, "threshold"]].mean()
    p = means[columns].to_numpy(dtype=np.float64)
    index = {name: k for k, name in enumerate(classes)}
    return Answers(
        patients=tuple(str(name) for name in means.index),
        y=np.array([index[name] for name in patients["label"].first()], dtype=np.int64),
        probabilities=np.hstack([1 - p, p]) if len(columns) == 1 else p,
        classes=classes,
        thresholds=means["threshold"].to_numpy(dtype=np.float64),
        ordered=are_ordered(rows),
    )


def _columns(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> list[str]:
    """The probability columns of a network; none where it does not answer for every class."""
    if rows["positive_class"].notna().any():
        return [network] if network in rows else []
    by_class = class_columns(rows, network)
    return [by_class[name] for name in classes] if set(classes) <= set(by_class) else []


def _nobody(classes: tuple[str, ...]) -> Answers:
    nothing = np.empty(0)
    return Answers((), nothing.astype(np.int64), np.empty((0, len(classes))), classes, nothing)
