"""Sizes of the networks and weights of the objective."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from histodistill.settings import Settings

NetworkName = Literal["student", "multimodal", "genomic"]
Fusion = Literal["bilinear", "concat"]
StudentName = Literal[
    "abmil",
    "abmil-plain",
    "mean",
    "max",
    "clam-sb",
    "clam-mb",
    "dsmil",
    "transmil",
    "dtfd-maxs",
    "dtfd-maxmins",
    "dtfd-mas",
    "dtfd-afs",
    "wikg",
    "rrt",
    "momkd",
    "ghanet",
    "linear",
]
GenomicName = Literal["tokens", "snn", "branches", "linear"]
MultimodalName = Literal["mkd", "mcat", "cmta", "porpoise", "pathomic", "late", "linear", "experts"]
DistillationName = Literal[
    "kd",
    "fitnet",
    "at",
    "sp",
    "rkd",
    "pkt",
    "crd",
    "vid",
    "cc",
    "dkd",
    "dist",
    "nkd",
    "mlkd",
    "tdc",
]

TeacherName = Literal["multimodal", "genomic"]

NETWORKS: tuple[NetworkName, ...] = ("student", "multimodal", "genomic")


class NetworkSettings(Settings):
    """The architecture; the defaults are the paper's.

    Attributes:
        networks: Which of the three networks are trained.
        width: Size d of hidden and pooled features.
        attention_width: Size of the gated attention.
        token_size: Genes in one token.
        dropout: Dropout (and alpha dropout) probability.
        student: Architecture of the student.
        multimodal: Architecture of the multimodal teacher.
        genomic: Architecture of the genomic teacher.
        blocks: Blocks of genes that are read; None reads all that the experiment has.
        programmes: Read every patch as this many programmes of gene expression, predicted from
            its features by a linear map that is fitted on the training patients with slides
            and genomics, and on such patients without a label; None reads the features themselves.
        gene_weighting: Multiply every gene by this power of its absolute correlation with the
            label of the training patients; 0 reads all alike.
        fusion: How the paper's multimodal teacher joins slide and genes.
        fusion_width: Size of the gated features in the bilinear fusion.
    """

    networks: tuple[NetworkName, ...] = NETWORKS
    width: PositiveInt = 256
    attention_width: PositiveInt = 128
    token_size: PositiveInt = 512
    dropout: float = Field(default=0.25, ge=0, lt=1)
    student: StudentName = "abmil"
    multimodal: MultimodalName = "mkd"
    genomic: GenomicName = "tokens"
    blocks: tuple[str, ...] | None = None
    programmes: PositiveInt | None = None
    gene_weighting: NonNegativeFloat = 0.0
    fusion: Fusion = "bilinear"
    fusion_width: PositiveInt = 32

    @property
    def reads_slides(self) -> bool:
        """Whether any of the networks reads bags."""
        return "student" in self.networks or "multimodal" in self.networks

    @property
    def reads_genes(self) -> bool:
        """Whether any of the networks reads genes."""
        return "genomic" in self.networks or "multimodal" in self.networks


class ObjectiveSettings(Settings):
    """Weights of the terms of the loss; 0 leaves a term out. The defaults are the paper's.

    Attributes:
        cross_entropy: Each network against the labels.
        orthogonality: L_OR of the decomposition (MKD).
        alignment: L_CORAL of the decomposition (MKD).
        similarity: Similarity-preserving distillation (SKD).
        collaboration: Collaborative learning (CLOD).
        temperature: Temperature T of the collaborative softmax.
        teachers: Who teaches the student, in every term between student and teacher.
        distillation: Weights of further ways to teach the student, by name.
        reconstruction: Expression's principal components from the student's features.
        reconstruction_components: Components to reconstruct, at most.
        group_reconstruction: Groups of genes from the tokens of the student ``ghanet``.
        memory_alignment: Genomics with the class memories of the student ``momkd``.
    """

    cross_entropy: NonNegativeFloat = 1.0
    orthogonality: NonNegativeFloat = 1.0
    alignment: NonNegativeFloat = 1.0
    similarity: NonNegativeFloat = 1.0
    collaboration: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 4.0
    teachers: tuple[TeacherName, ...] = ("multimodal", "genomic")
    distillation: dict[DistillationName, NonNegativeFloat] = Field(default_factory=dict)
    reconstruction: NonNegativeFloat = 0.0
    reconstruction_components: PositiveInt = 32
    group_reconstruction: NonNegativeFloat = 0.0
    memory_alignment: NonNegativeFloat = 0.0

    @property
    def between_networks(self) -> bool:
        """Whether a term reads two networks, of which one may be a finished teacher."""
        terms = self.orthogonality, self.alignment, self.similarity, self.collaboration
        return any(terms) or any(self.distillation.values())

    @property
    def reads_genes(self) -> bool:
        """Whether a term reads the genes themselves, beside the networks."""
        return bool(self.reconstruction or self.group_reconstruction or self.memory_alignment)
