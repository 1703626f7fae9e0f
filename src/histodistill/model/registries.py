"""The parts of a model that settings choose by name, and what each kind declares.

Nothing here imports PyTorch: settings are checked, and methods listed, without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histodistill.registry import Declaration, Registry

if TYPE_CHECKING:
    from histodistill.model.losses.distillation.distiller import Distiller
    from histodistill.model.losses.genes.term import GeneTerm
    from histodistill.model.students.base import MILStudent
    from histodistill.model.teachers.genomic.base import GenomicTeacher
    from histodistill.model.teachers.multimodal.base import MultimodalTeacher


@dataclass(frozen=True)
class NetworkDeclaration(Declaration):
    """What a network says of itself.

    The defaults hold for any network. A subclass declares for itself: what its parent can do, it
    is not asked for unless it says that it can do so too.

    Attributes:
        reads: What it reads, in words; empty where its kind tells.
        differs: Where it departs from its source.
        alone: Whether there is a recipe that trains it alone.
        recipe: Name of that recipe; empty where it is that of the network.
        objective: Weights of the loss in that recipe, beside the cross-entropy.
        fixed_width: Its features are ``network.width`` wide; otherwise as wide as its inputs.
        pooled_together: Its patches may be pooled in one pass with those of another network: it
            has ``tower()``, and ``answer`` takes the pooled bags.
        stackable: Several models of it can be trained in one pass.
        heads: It can answer several targets: its logits come from features by layers whose rows are
            classes, so that those of each target stand by themselves, and it has no loss of its
            own that reads labels.
        composed: It is made of the finished student and the finished genomic teacher, which its
            method ``take`` takes over.
    """

    reads: str = ""
    differs: str = ""
    alone: bool = True
    recipe: str = ""
    objective: Mapping[str, float] = field(default_factory=dict)
    fixed_width: bool = True
    pooled_together: bool = False
    stackable: bool = False
    heads: bool = False
    composed: bool = False


@dataclass(frozen=True)
class DistillerDeclaration(Declaration):
    """What a way to distil says of itself.

    Attributes:
        in_words: Its formula in words.
        reads: What it reads of the networks and of the patients.
        balance: Its own weights, and its balance against the cross-entropy.
        differs: Where it departs from its source.
        one_width: It needs features of ``network.width`` from student and teacher.
    """

    in_words: str = ""
    reads: str = ""
    balance: str = ""
    differs: str = ""
    one_width: bool = False


@dataclass(frozen=True)
class GeneTermDeclaration(Declaration):
    """What a term of the loss that reads genes says of itself.

    Attributes:
        student: The student whose inside it reads; empty where any will do.
        one_width: It needs student features of ``network.width``.
    """

    student: str = ""
    one_width: bool = False


STUDENTS: Registry[type[MILStudent], NetworkDeclaration] = Registry(
    "STUDENTS",
    "student",
    NetworkDeclaration,
    room="histodistill.model.students",
    group="histodistill.students",
    base="histodistill.model.students.base:MILStudent",
)
GENOMIC_TEACHERS: Registry[type[GenomicTeacher], NetworkDeclaration] = Registry(
    "GENOMIC_TEACHERS",
    "genomic teacher",
    NetworkDeclaration,
    room="histodistill.model.teachers.genomic",
    group="histodistill.genomic_teachers",
    base="histodistill.model.teachers.genomic.base:GenomicTeacher",
)
MULTIMODAL_TEACHERS: Registry[type[MultimodalTeacher], NetworkDeclaration] = Registry(
    "MULTIMODAL_TEACHERS",
    "multimodal teacher",
    NetworkDeclaration,
    room="histodistill.model.teachers.multimodal",
    group="histodistill.multimodal_teachers",
    base="histodistill.model.teachers.multimodal.base:MultimodalTeacher",
)
DISTILLERS: Registry[type[Distiller], DistillerDeclaration] = Registry(
    "DISTILLERS",
    "distillation loss",
    DistillerDeclaration,
    room="histodistill.model.losses.distillation",
    group="histodistill.distillation_losses",
    base="histodistill.model.losses.distillation.distiller:Distiller",
)
GENE_TERMS: Registry[type[GeneTerm], GeneTermDeclaration] = Registry(
    "GENE_TERMS",
    "term of the loss that reads genes",
    GeneTermDeclaration,
    room="histodistill.model",
    group="histodistill.gene_terms",
    base="histodistill.model.losses.genes.term:GeneTerm",
)

NETWORK_REGISTRIES: dict[str, Registry[Any, NetworkDeclaration]] = {
    "student": STUDENTS,
    "genomic": GENOMIC_TEACHERS,
    "multimodal": MULTIMODAL_TEACHERS,
}
