from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.evaluation import (
    Question,
    attach_labels,
    networks_in,
    question_of,
    target_classes,
    unanswered_notes,
)
from tests.evaluation.simulated import three_class


class TestAttachLabels:
    predicted = pd.DataFrame(
        {
            "PATIENT": ["A", "B", "C"],
            "student": [0.9, 0.2, 0.6],
            "multimodal": [np.nan, 0.1, np.nan],
            "probability": [0.9, 0.1, 0.6],
            "call": ["positive", "negative", "positive"],
            "answered_by": ["student", "multimodal", "student"],
            "positive_class": "positive",
            "student_threshold": 0.4,
            "multimodal_threshold": 0.3,
        }
    )
    labels = pd.Series({"A": "positive", "B": "negative", "Z": "positive"})

    def test_labels_join(self):
        table = attach_labels(self.predicted, self.labels, target="ER", method="mkd")
        assert table["label"].tolist()[:2] == ["positive", "negative"]
        assert pd.isna(table["label"].iloc[2])
        assert networks_in(table) == ["deployed", "student", "multimodal"]
        assert table["deployed"].tolist() == [0.9, 0.1, 0.6]
        assert table["deployed_threshold"].tolist() == [0.4, 0.3, 0.4]
        assert set(table["student_threshold"]) == {0.4}
        assert set(table["positive_class"]) == {"positive"}
        assert "probability" not in table

    def test_the_positive_class_may_be_given(self):
        table = attach_labels(
            self.predicted.drop(columns=["positive_class", "call"]),
            self.labels,
            target="ER",
            method="mkd",
            positive_class="negative",
        )
        assert target_classes(table) == ("positive", "negative")

    def test_three_classes(self):
        predicted = three_class()[["PATIENT", "student:Basal", "student:LumA", "student:LumB"]]
        labels = three_class().set_index("PATIENT")["label"]
        table = attach_labels(
            predicted.assign(positive_class=""), labels, target="PAM50", method="mkd"
        )
        assert target_classes(table) == ("Basal", "LumA", "LumB")
        assert table["label"].tolist() == labels.tolist()

    def test_numbers_as_patient_names(self):
        predicted = self.predicted.assign(PATIENT=[1, 2, 3])
        labels = pd.Series({"1": "positive", "2": "negative"})
        table = attach_labels(predicted, labels, target="ER", method="mkd")
        assert table["label"].notna().sum() == 2

    def problem(self, predicted: pd.DataFrame, labels: pd.Series) -> str:
        with pytest.raises(InputError) as caught:
            attach_labels(predicted, labels, target="ER", method="mkd", source="new.csv")
        return str(caught.value)

    def test_messages(self):
        assert self.problem(self.predicted.drop(columns="PATIENT"), self.labels) == (
            "new.csv: the column PATIENT is missing."
        )
        assert "new.csv: none of its 3 patients has a label" in self.problem(
            self.predicted, pd.Series({"Q": "positive"})
        )
        assert "new.csv: patient(s) A have more than one label" in self.problem(
            self.predicted, pd.concat([self.labels, self.labels.iloc[:1]])
        )
        assert "positive class pos is not among the labels (negative, positive)" in self.problem(
            self.predicted.assign(positive_class="pos"), self.labels
        )
        assert "say which class is positive" in self.problem(
            self.predicted.drop(columns="positive_class"), self.labels
        )
        assert "patient(s) A have more than one row" in self.problem(
            self.predicted.assign(PATIENT=["A", "A", "B"]), self.labels
        )

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"target": "PR"}, "of the target PR, and ER is asked for"),
            ({"positive_class": "negative"}, "of the positive class negative, and positive is"),
            ({"classes": "high|low"}, "of the classes high, low, and patients are labelled"),
            ({"target": ["ER", "ER", "PR"]}, "column target names ER, PR"),
            ({"bundle": ["a", "b", "b"]}, "column bundle names a, b"),
            ({"call": "positive"}, r"column call is not .* for patient\(s\) B"),
        ],
    )
    def test_contradictions_are_refused(self, said: dict[str, object], message: str):
        with pytest.raises(InputError, match=message):
            attach_labels(
                self.predicted.assign(**said),  # type: ignore[arg-type]
                self.labels,
                target="ER",
                method="mkd",
                positive_class="positive",
                source="new.csv",
            )

    def test_what_the_predictions_say_agrees(self):
        predicted = self.predicted.assign(target="ER", classes="negative|positive", method="mkd")
        assert question_of(predicted) == Question(
            "ER", ("negative", "positive"), "positive", "mkd", None
        )
        table = attach_labels(predicted, self.labels, target="ER", method="mkd")
        assert target_classes(table) == ("negative", "positive")

    def test_the_answer_given_beyond_two_classes(self):
        columns = ["PATIENT", "student:Basal", "student:LumA", "student:LumB"]
        predicted = three_class()[columns].assign(
            classes="Basal|LumA|LumB", probability=0.5, call="Basal", answered_by="student"
        )
        labels = three_class().set_index("PATIENT")["label"]
        table = attach_labels(predicted, labels, target="PAM50", method="mkd")
        for name in ("Basal", "LumA", "LumB"):
            assert table[f"deployed:{name}"].tolist() == table[f"student:{name}"].tolist()


def test_who_is_not_evaluated_is_told():
    predicted = pd.DataFrame({"PATIENT": ["A", "B", "C"]})
    labels = pd.Series({"A": "positive", "B": np.nan, "C": "negative", "Z": "positive"})
    assert list(unanswered_notes(predicted, labels, "p.csv")) == [
        "p.csv: 2 of 3 patients with a label have a prediction; without one, and not evaluated: Z",
        "p.csv: 2 of 3 predicted patients have a label; without one, and not evaluated: B",
    ]
    whole = pd.Series({"A": "positive", "B": "positive", "C": "negative"})
    assert not list(unanswered_notes(predicted, whole, "p.csv"))


def test_who_is_spelled_otherwise_is_suggested():
    predicted = pd.DataFrame({"PATIENT": ["p_1", "P2"]})
    labels = pd.Series({"P-1": "positive", "P2": "negative"})
    (lacking, unlabelled) = unanswered_notes(predicted, labels, "p.csv")
    assert lacking.endswith(
        "not evaluated: P-1; predicted in another spelling: P-1 (p_1); spell them alike"
    )
    assert unlabelled.endswith("without one, and not evaluated: p_1")
