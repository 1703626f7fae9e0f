"""What is written on the pictures of a slide: what was asked, and when nothing is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histodistill.explanation import slide_pictures
from histodistill.explanation.frame import Frame
from histodistill.explanation.overlay import Legend
from histodistill.explanation.patients import PatientMap, explain
from histodistill.explanation.slide_pictures import Answer, sentences, write_slide
from histodistill.features import BagStore
from histodistill.model import NetworkName
from tests.deploy.bundles import bags_of, bundle, expression


@pytest.fixture
def bags(tmp_path: Path) -> BagStore:
    return bags_of(tmp_path / "features", ["A"])


@pytest.fixture
def maps(bags: BagStore) -> list[PatientMap]:
    """Of the student and of the multimodal teacher."""
    return list(explain(bundle(), bags, {"mrna": expression(["A"])}))


def regional(found: PatientMap, *, yes: bool) -> PatientMap:
    """A map that shows where the evidence lies, or does not."""
    certificate = found.certificate
    low, srg = (0.4, 0.5) if yes else (-0.1, 0.0)
    own = replace(certificate.map, srg=srg, low=low)
    return replace(found, certificate=replace(certificate, map=own, random=0.0, random_high=0.1))


@pytest.mark.parametrize(
    ("target", "classes", "named", "against"),
    [
        ("ER", ("negative", "positive"), "ER positive", "ER negative"),
        ("HER2", ("her2-low", "HER2-high"), "HER2-high", "her2-low"),
        ("Grade", ("1", "2", "3"), "Grade 2", "others"),
    ],
)
def test_a_class_is_named_with_what_it_is_a_class_of(target, classes, named, against):
    answer = Answer(target, classes, {})
    assert answer.of(1) == named
    assert answer.against(1) == against


def test_the_answer_stands_on_the_map_as_it_was_given(maps):
    found = replace(maps[0], target=1, called=0)
    answer = Answer("ER", ("negative", "positive"), {"student": 0.4318})
    assert answer.sentence(found) == "Probability of ER positive 0.432, called ER negative."
    bounded = replace(answer, thresholds={"student": 0.6})
    assert bounded.sentence(found).endswith("called ER negative (ER positive from 0.600 on).")
    assert Answer("ER", ("negative", "positive"), {}).sentence(found) == "Called ER negative."


def test_the_patches_that_keep_a_call_are_those_in_its_favour(maps):
    found = replace(maps[0], target=1, called=0)
    few = replace(found.certificate, sufficient=1, necessary=3, n_patches=7)
    *_, told = sentences(replace(found, certificate=few), ("negative", "positive"))
    assert "7 patches the one most in favour of negative alone keeps the call" in told
    assert "without the 3 most in favour it changes" in told
    never = replace(few, necessary=None)
    *_, told = sentences(replace(found, certificate=never), ("negative", "positive"))
    assert "taking patches away never changes it" in told


@pytest.mark.parametrize("shown", [True, False])
def test_a_difference_without_regional_evidence_is_not_painted(
    tmp_path, bags, maps, monkeypatch, shown
):
    drawn: dict[str, tuple[Legend, bool]] = {}

    def draw(self, places, values, legend):
        drawn[legend.title] = legend, values is not None
        return Image.fromarray(np.zeros((4, 4, 3), np.uint8))

    monkeypatch.setattr(Frame, "draw", draw)
    maps = [regional(maps[0], yes=True), regional(maps[1], yes=shown)]
    (features,) = bags.slides("A")
    probabilities: dict[NetworkName, float] = {"student": 0.25, "multimodal": 0.75}
    answer = Answer("ER", ("negative", "positive"), probabilities, warning="Out of scope: ink.")
    write_slide(tmp_path, features, maps, answer, None, mpp=1.0, n_shown=2)
    ((difference, painted),) = (own for title, own in drawn.items() if " minus " in title)
    assert painted is shown
    told = " ".join(difference.lines)
    assert "Student: Probability of ER positive 0.250" in told
    assert ("Not painted: no regional evidence of multimodal." in told) is not shown
    for title, (legend, own) in drawn.items():
        assert legend.lines[-1] == slide_pictures._RESEARCH
        assert title.startswith("A: ")
        assert "Out of scope: ink." in legend.lines
        assert ("spoke like the patch" in " ".join(legend.lines)) is (own and "minus" not in title)
