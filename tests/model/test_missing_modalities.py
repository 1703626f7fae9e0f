"""Who contributes to which term of the loss, in batches with incomplete patients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from histodistill.model import NETWORKS, Batch, ObjectiveSettings, Output, objective
from histodistill.model.batch import common
from histodistill.model.losses.objectives import alignment, collaboration, orthogonality, similarity
from tests.model.batches import alone, bags, genes, gradients, networks

#           0  1   2   3   4  5  6   7
LABELS = [0, 1, -1, 0, 1, 0, -1, 1]
SLIDES = (0, 1, 2, 4, 6)
GENES = (1, 2, 3, 6, 7)
PAIRED = (1, 2, 6)
# Patient 5 has neither: such a row answers nothing and must disturb nobody.


def incomplete(slides: tuple[int, ...] = SLIDES, measured: tuple[int, ...] = GENES) -> Batch:
    return Batch(
        bags({row: 3 + row for row in slides}) if slides else None,
        genes(measured) if measured else None,
        torch.tensor(LABELS),
    )


def pick(
    outputs: dict[int, dict[str, Output]], name: str, rows: tuple[int, ...], what: str
) -> Tensor:
    return torch.cat([getattr(outputs[row][name], what) for row in rows])


def test_each_term_counts_the_patients_it_can() -> None:
    model = networks()
    batch = incomplete()
    terms = objective(model(batch), batch.labels, ObjectiveSettings())

    each = {row: model(alone(batch, row)) for row in (*SLIDES, 3, 7)}
    able = {"student": SLIDES, "multimodal": PAIRED, "genomic": GENES}
    expected: dict[str, Tensor] = {}
    for name in NETWORKS:
        known = tuple(row for row in able[name] if LABELS[row] >= 0)
        expected[f"ce_{name}"] = torch.nn.functional.cross_entropy(
            pick(each, name, known, "logits"), torch.tensor([LABELS[row] for row in known])
        )
    s, m, g = (pick(each, name, PAIRED, "features") for name in NETWORKS)
    zs, zm, zg = (pick(each, name, PAIRED, "logits") for name in NETWORKS)
    pairs = ((m, s), (g, s), (g, m))
    expected["orthogonality"] = torch.stack([orthogonality(a, b) for a, b in pairs]).sum() / 6
    expected["alignment"] = torch.stack([alignment(a, b) for a, b in pairs]).sum()
    expected["similarity"] = len(PAIRED) * (similarity(s, m) + similarity(s, g))
    expected["collaboration"] = collaboration(zs, zm, 4) + collaboration(zs, zg, 4)
    assert terms.keys() == expected.keys()
    for which, term in terms.items():
        assert term.item() == pytest.approx(expected[which].item(), rel=1e-6), which


@pytest.mark.parametrize(
    ("slides", "measured", "answered"),
    [
        ((0, 1), (3, 4), {"student": (0, 1), "genomic": (3, 4)}),
        ((0, 1), (), {"student": (0, 1)}),
        ((), (3, 4), {"genomic": (3, 4)}),
    ],
)
def test_nobody_with_both_leaves_cross_entropy_alone(
    slides: tuple[int, ...], measured: tuple[int, ...], answered: dict[str, tuple[int, ...]]
) -> None:
    model = networks()
    batch = incomplete(slides, measured)
    outputs = model(batch)
    assert {name: tuple(output.rows.tolist()) for name, output in outputs.items()} == answered
    terms = objective(outputs, batch.labels, ObjectiveSettings())
    assert set(terms) == {f"ce_{name}" for name in answered}
    torch.stack(list(terms.values())).sum().backward()
    assert (gradients(model)["multimodal.classifier.weight"] == 0).all()


def test_a_single_patient_with_both_teaches_by_cross_entropy_alone() -> None:
    batch = incomplete((0, 1), (1, 3))
    terms = objective(networks()(batch), batch.labels, ObjectiveSettings())
    assert set(terms) == {"ce_student", "ce_multimodal", "ce_genomic"}


def test_nobody_labelled_leaves_the_terms_that_need_no_label() -> None:
    model = networks()
    batch = incomplete()
    unknown = torch.full_like(batch.labels, -1)
    terms = objective(model(batch), unknown, ObjectiveSettings())
    assert set(terms) == {"orthogonality", "alignment", "similarity", "collaboration"}
    torch.stack(list(terms.values())).sum().backward()
    assert gradients(model)["student.patches.0.weight"].abs().max() > 0


def test_a_patient_without_genomics_trains_the_student_and_nobody_else() -> None:
    found = []
    for slides in ((1, 2, 6), (1, 2, 4, 6)):  # patient 4 has slides and a label
        model = networks()
        batch = incomplete(slides)
        terms = objective(model(batch), batch.labels, ObjectiveSettings())
        torch.stack(list(terms.values())).sum().backward()
        found.append(gradients(model))
    without, with_patient = found
    for name in without:
        if not name.endswith("attention.score.bias"):  # a softmax ignores it
            same = torch.allclose(without[name], with_patient[name], rtol=1e-9, atol=1e-12)
            assert same != name.startswith("student"), name


def test_a_patient_without_label_trains_through_the_other_networks() -> None:
    model = networks()
    batch = incomplete((2, 6), (2, 6))  # both unknown
    terms = objective(model(batch), batch.labels, ObjectiveSettings())
    assert not any(name.startswith("ce_") for name in terms)
    terms["collaboration"].backward()
    assert gradients(model)["student.classifier.1.weight"].abs().max() > 0


def test_rows_with_both_modalities() -> None:
    assert incomplete().paired_rows.tolist() == list(PAIRED)
    assert incomplete(measured=()).paired_rows.tolist() == []
    assert incomplete(slides=()).paired_rows.tolist() == []


def test_outputs_are_cut_to_their_common_patients() -> None:
    outputs = networks()(incomplete())
    student, genomic = common(outputs["student"], outputs["genomic"])
    assert student.rows.tolist() == genomic.rows.tolist() == list(PAIRED)
    assert torch.equal(student.logits, outputs["student"].logits[[1, 2, 4]])
    assert torch.equal(genomic.features, outputs["genomic"].features[[0, 1, 3]])
    assert common(student, genomic) == (student, genomic)
