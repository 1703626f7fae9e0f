"""Sizes of the networks and weights of the objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from histodistill.model.registries import (
    DISTILLERS,
    GENE_TERMS,
    GENOMIC_TEACHERS,
    MULTIMODAL_TEACHERS,
    NETWORK_REGISTRIES,
    STUDENTS,
    NetworkDeclaration,
)
from histodistill.registry import Registry, is_import_path
from histodistill.settings import Settings

NetworkName = Literal["student", "multimodal", "genomic"]
Fusion = Literal["bilinear", "concat"]
TeacherName = Literal["multimodal", "genomic"]
# Names of parts: of this package, of an installed one, or import paths.
StudentName = Annotated[str, AfterValidator(STUDENTS.check)]
GenomicName = Annotated[str, AfterValidator(GENOMIC_TEACHERS.check)]
MultimodalName = Annotated[str, AfterValidator(MULTIMODAL_TEACHERS.check)]
DistillationName = Annotated[str, AfterValidator(DISTILLERS.check)]
GeneTermName = Annotated[str, AfterValidator(GENE_TERMS.check)]

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
        student_options: Options of the student's own, by name.
        multimodal_options: Options of the multimodal teacher's own.
        genomic_options: Options of the genomic teacher's own.
        blocks: Blocks of genes that are read; None reads all that the experiment has.
        programmes: Read every patch as this many programmes of gene expression, predicted from
            its features by a linear map that is fitted on the training patients with slides
            and genomics, and on such patients without a label; None reads the features themselves.
        prototypes: Predict the programmes from the features and from how a patch is shared out
            among this many prototypes of tissue (k-means of the training patients' patches), where
            patches differ within slides; None predicts them from the features alone.
        proportions: Beside prototypes, read detectors of the patches whose number the first
            programme of the training patients' genes foretells.
        shrinkage: Penalty of the squared weights of a ``linear`` student.
        gene_weighting: Multiply every gene by this power of its absolute correlation with the
            label of the training patients; 0 reads all alike.
        fusion: How the paper's multimodal teacher joins slide and genes.
        fusion_width: Size of the gated features in the bilinear fusion.
    """

    networks: Annotated[tuple[NetworkName, ...], Field(min_length=1)] = NETWORKS
    width: PositiveInt = 256
    attention_width: PositiveInt = 128
    token_size: PositiveInt = 512
    dropout: float = Field(default=0.25, ge=0, lt=1)
    student: StudentName = "abmil"
    multimodal: MultimodalName = "mkd"
    genomic: GenomicName = "tokens"
    student_options: dict[str, Any] = Field(default_factory=dict)
    multimodal_options: dict[str, Any] = Field(default_factory=dict)
    genomic_options: dict[str, Any] = Field(default_factory=dict)
    blocks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    programmes: PositiveInt | None = None
    prototypes: PositiveInt | None = None
    proportions: bool = False
    shrinkage: NonNegativeFloat = 0.0
    gene_weighting: NonNegativeFloat = 0.0
    fusion: Fusion = "bilinear"
    fusion_width: PositiveInt = 32

    @field_validator("networks", "blocks")
    @classmethod
    def _each_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        repeated = [name for name in names or () if (names or ()).count(name) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]} is named twice")
        return names

    @property
    def reads_slides(self) -> bool:
        """Whether any of the networks reads bags."""
        return "student" in self.networks or "multimodal" in self.networks

    @property
    def reads_genes(self) -> bool:
        """Whether any of the networks reads genes."""
        return "genomic" in self.networks or "multimodal" in self.networks

    @property
    def embeds_patches(self) -> bool:
        """Whether any of the networks takes every patch through a layer of its own."""
        readers = (name for name in self.networks if name != "genomic")
        return any(self.declared(name).fixed_width for name in readers)

    @property
    def import_paths(self) -> tuple[str, ...]:
        """Trained networks of no registry: they are imported from where their name says."""
        names = (getattr(self, network) for network in self.networks)
        return tuple(dict.fromkeys(filter(is_import_path, names)))

    @property
    def foreign(self) -> dict[NetworkName, str]:
        """Trained networks that another package brings, by what they are."""
        names: dict[NetworkName, str] = {kind: getattr(self, kind) for kind in self.networks}
        return {
            kind: name
            for kind, name in names.items()
            if NETWORK_REGISTRIES[kind].package_of(name) is not None
        }

    def declared(self, network: NetworkName) -> NetworkDeclaration:
        """What the architecture of one of the networks declares."""
        match network:
            case "student":
                return STUDENTS.facts(self.student)
            case "genomic":
                return GENOMIC_TEACHERS.facts(self.genomic)
            case "multimodal":
                return MULTIMODAL_TEACHERS.facts(self.multimodal)


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
        distillation_options: Options of these ways' own, by the name of the way.
        from_genes: Weights of the terms that read the genes themselves, by name. Those of this
            package may stand beside the other weights: ``reconstruction: 1``.
        reconstruction_components: Components that ``reconstruction`` has, at most.
    """

    cross_entropy: NonNegativeFloat = 1.0
    orthogonality: NonNegativeFloat = 1.0
    alignment: NonNegativeFloat = 1.0
    similarity: NonNegativeFloat = 1.0
    collaboration: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 4.0
    teachers: tuple[TeacherName, ...] = ("multimodal", "genomic")
    distillation: dict[DistillationName, NonNegativeFloat] = Field(default_factory=dict)
    distillation_options: dict[DistillationName, dict[str, Any]] = Field(default_factory=dict)
    from_genes: dict[GeneTermName, NonNegativeFloat] = Field(default_factory=dict)
    reconstruction_components: PositiveInt = 32

    @model_validator(mode="before")
    @classmethod
    def _gather_terms(cls, raw: Any) -> Any:
        """Terms that read genes, from where they stand beside the other weights."""
        if not isinstance(raw, Mapping):
            return raw
        beside = {name: raw[name] for name in GENE_TERMS.names() if name in raw}
        within = raw.get("from_genes", {})
        if not beside or not isinstance(within, Mapping):
            return raw
        rest = {key: value for key, value in raw.items() if key not in beside}
        return rest | {"from_genes": {**within, **beside}}

    @field_validator("distillation", "from_genes")
    @classmethod
    def _nothing_of_no_weight(cls, weights: dict[str, float]) -> dict[str, float]:
        """A term of weight 0 is left out, whether it is named or not."""
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def between_networks(self) -> bool:
        """Whether a term reads two networks, of which one may be a finished teacher."""
        terms = self.orthogonality, self.alignment, self.similarity, self.collaboration
        return any(terms) or any(self.distillation.values())

    @property
    def reads_genes(self) -> bool:
        """Whether a term reads the genes themselves, beside the networks."""
        return any(self.from_genes.values())


def foreign_parts(
    network: NetworkSettings, objective: ObjectiveSettings
) -> list[tuple[Registry[Any, Any], str]]:
    """Trained networks and terms of the loss that other packages bring: registry and name."""
    named: list[tuple[Registry[Any, Any], str]] = [
        (NETWORK_REGISTRIES[kind], name) for kind, name in network.foreign.items()
    ]
    terms: list[tuple[Registry[Any, Any], str]] = [
        *((DISTILLERS, name) for name in objective.distillation),
        *((GENE_TERMS, name) for name in objective.from_genes),
    ]
    return named + [(kind, name) for kind, name in terms if kind.package_of(name) is not None]
