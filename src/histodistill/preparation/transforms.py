"""Everything that is fitted on the training patients and travels with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from histodistill.errors import InputError, listed
from histodistill.features import BagStore, FeatureScaler
from histodistill.files import write_json
from histodistill.gate.tensors import read_safetensors
from histodistill.gate.text import read_json
from histodistill.genomics import GenomicPreprocessor
from histodistill.genomics.preprocessing import Floats
from histodistill.preparation.programmes import ExpressionProgrammes


@dataclass(frozen=True)
class Transforms:
    """Fitted transforms of one fold, or of a final model.

    Attributes:
        scaler: Standardisation of patch features; None where they are read as they are.
        blocks: Gene selection, imputation and scaling of each genomic block.
        programmes: Map from patch features, as they are stored, to expression programmes; None
            where the features themselves are read. There is no ``scaler`` then.
        gene_weights: Factors of the scaled genes of a block, float32 [K]; blocks without any are
            read as they are scaled.
        expression: Map from the student's hidden patches to expression programmes, where a term
            of its training read genes; for maps alone.
    """

    scaler: FeatureScaler | None
    blocks: dict[str, GenomicPreprocessor]
    programmes: ExpressionProgrammes | None = None
    gene_weights: Mapping[str, Floats] = field(default_factory=dict)
    expression: ExpressionProgrammes | None = None

    def scaled(self, genomics: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Every block, scaled: float32 [n, K] of its n patients; nobody's where none is given.

        Args:
            genomics: Blocks, patients x genes.
        """
        return {
            name: scaled_block(block, genomics.get(name, _nobody(block)))
            for name, block in self.blocks.items()
        }

    def genes(self, block: str, scaled: pd.DataFrame) -> Floats:
        """What networks read of a scaled block: float32 [n, K] of n patients."""
        values = scaled.to_numpy()
        weights = self.gene_weights.get(block)
        return values if weights is None else values * weights

    @property
    def n_prototypes(self) -> int:
        """Prototypes of tissue that the programmes are predicted from, beside features."""
        return 0 if self.programmes is None else self.programmes.n_prototypes

    @property
    def n_detectors(self) -> int:
        """Detectors of patches that the first programme is told by as well."""
        return 0 if self.programmes is None else self.programmes.n_detectors

    def save(self, folder: Path) -> None:
        """Write ``transforms.json`` and ``transforms.safetensors`` into a folder."""
        arrays = {
            # Copied: arrays that share memory would be refused.
            f"blocks.{name}.{key}": torch.tensor(value)
            for name, block in self.blocks.items()
            for key, value in block.to_arrays().items()
        }
        if self.scaler is not None:
            arrays |= {f"scaler.{k}": v for k, v in self.scaler.to_tensors().items()}
        if self.programmes is not None:
            arrays |= {f"programmes.{k}": v for k, v in self.programmes.to_tensors().items()}
        if self.expression is not None:
            arrays |= {f"expression.{k}": v for k, v in self.expression.to_tensors().items()}
        arrays |= {f"gene_weights.{k}": torch.tensor(v) for k, v in self.gene_weights.items()}
        save_file(arrays, folder / "transforms.safetensors")
        blocks = {name: block.to_dict() for name, block in self.blocks.items()}
        described: dict[str, object] = {
            "standardised": self.scaler is not None,
            "programmes": self.programmes is not None,
            "blocks": blocks,
        }
        if self.programmes is not None and self.programmes.genes is not None:
            described["predicted_genes"] = list(self.programmes.genes.genes)
        if self.expression is not None and self.expression.genes is not None:
            described["expression"] = list(self.expression.genes.genes)
        write_json(folder / "transforms.json", described)

    @classmethod
    def load(cls, folder: Path) -> Transforms:
        """Read what ``save`` wrote.

        Raises:
            InputError: A file is damaged.
            ValueError, KeyError, TypeError, AttributeError: The two do not belong together.
        """
        described = read_json(folder / "transforms.json")
        path = folder / "transforms.safetensors"
        arrays = read_safetensors(path)
        unusable = sorted(name for name, values in arrays.items() if not values.isfinite().all())
        if unusable:
            raise InputError(f"{path}: NaN or infinite values in {listed(unusable, 3)}")

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

        blocks = {
            name: GenomicPreprocessor.from_dict(
                block, {k: v.numpy() for k, v in under(f"blocks.{name}.").items()}
            )
            for name, block in described["blocks"].items()
        }
        scaler = FeatureScaler.from_tensors(under("scaler.")) if described["standardised"] else None
        programmes = None
        if described.get("programmes"):
            names = described.get("predicted_genes")
            programmes = ExpressionProgrammes.from_tensors(under("programmes."), names)
        weights = {name: v.numpy() for name, v in under("gene_weights.").items()}
        expression = None
        if "expression" in described:
            told = under("expression.")
            expression = ExpressionProgrammes.from_tensors(told, described["expression"])
        return cls(scaler, blocks, programmes, weights, expression)


def scaled_block(block: GenomicPreprocessor, table: pd.DataFrame) -> pd.DataFrame:
    """A block as its preprocessor scales it: float32 [n, K], a row a patient of the table."""
    return pd.DataFrame(block.transform(table), index=table.index, copy=False)


def _nobody(block: GenomicPreprocessor) -> pd.DataFrame:
    return pd.DataFrame(columns=block.genes_, dtype="float32")


def fit_transforms(
    patients: Sequence[str],
    *,
    bags: BagStore | None,
    genomics: Mapping[str, pd.DataFrame],
    preprocessors: Mapping[str, GenomicPreprocessor],
    standardise: bool,
    labels: pd.Series[int],
    survival: pd.DataFrame | None,
) -> Transforms:
    """Fit every transform on the given patients, which are the training patients of a fold.

    Args:
        patients: Training patients; nobody else is looked at.
        bags: Bags of the cohort; None where there are no slides.
        genomics: Genomic blocks of the cohort, patients x genes.
        preprocessors: An unfitted preprocessor for each block.
        standardise: Whether patch features are standardised.
        labels: Known class indices, by patient.
        survival: Columns ``time`` and ``event``, by patient, or None.
    """
    training = pd.Index(patients)
    scaler = None
    if standardise and bags is not None:
        with_slides = set(bags.patients)
        scaler = FeatureScaler.fit(bags, [p for p in patients if p in with_slides])
    blocks = {}
    for name, table in genomics.items():
        known = table.loc[table.index.intersection(training)]
        blocks[name] = preprocessors[name].fit(
            known,
            labels=labels.loc[labels.index.intersection(known.index)],
            survival=None
            if survival is None
            else survival.loc[survival.index.intersection(known.index)],
        )
    return Transforms(scaler, blocks)
