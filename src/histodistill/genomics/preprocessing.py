"""From a table of genes to a model's input: chosen, imputed and scaled as in the training fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.genomics.reference import GeneReference
from histodistill.genomics.selection import SelectionSettings, select_genes

Imputation = Literal["median", "mean", "zero"]
Scaling = Literal["standard", "none"]
Floats = NDArray[np.float32]


class GenomicPreprocessor:
    """Selection, imputation and scaling of one genomic block.

    Everything that it knows comes from the patients given to :meth:`fit`, the training part of a
    fold, and travels with the model as JSON (:meth:`to_dict`) and arrays (:meth:`to_arrays`).

    Args:
        selection: Which genes.
        block: The block's name, for messages.
        impute: What replaces a missing value: the training patients' median or mean of the gene, or
            zero, all before scaling.
        scale: ``standard`` subtracts the training mean and divides by the standard deviation.
        clip: Bound on the absolute value after scaling; None for no bound.
        max_missing_genes: Largest fraction of the chosen genes that a new table may lack.

    Attributes:
        genes_: The chosen genes in order of rank, K of them.
        fill_: float32 [K], what replaces a missing value.
        centre_: float32 [K], subtracted.
        scale_: float32 [K], divided by.
        reference_: What the training patients' values look like; None where nobody recorded it.
    """

    genes_: list[str]
    fill_: Floats
    centre_: Floats
    scale_: Floats
    reference_: GeneReference | None = None

    def __init__(
        self,
        *,
        selection: SelectionSettings,
        block: str = "genomics",
        impute: Imputation = "median",
        scale: Scaling = "standard",
        clip: float | None = None,
        max_missing_genes: float = 0.2,
    ) -> None:
        self.selection = selection
        self.block = block
        self.impute = impute
        self.scale = scale
        self.clip = clip
        self.max_missing_genes = max_missing_genes

    @classmethod
    def identity(cls, genes: Sequence[str], *, block: str = "genomics") -> Self:
        """Pass the named genes on unscaled, zero for missing: for checkpoints trained elsewhere."""
        made = cls(
            selection=SelectionSettings(method="list", n_genes=None, genes=tuple(genes)),
            block=block,
            impute="zero",
            scale="none",
            clip=None,
        )
        made.genes_ = list(genes)
        made.fill_ = made.centre_ = np.zeros(len(genes), np.float32)
        made.scale_ = np.ones(len(genes), np.float32)
        return made

    def fit(
        self,
        values: pd.DataFrame,
        *,
        labels: pd.Series | None = None,
        survival: pd.DataFrame | None = None,
    ) -> Self:
        """Choose genes and learn their fill, centre and scale.

        Args:
            values: Training patients x genes, NaN for missing.
            labels: Their classes, for a selection by label.
            survival: Their ``time`` and ``event``, for a selection by survival.

        Raises:
            InputError: The selection is impossible; the message names the block.
        """
        if values.empty:
            raise InputError(f"Block {self.block}: there is no training patient with this block.")
        try:
            self.genes_ = select_genes(
                values,
                self.selection.method,
                self.selection.n_genes,
                labels=labels,
                survival=survival,
                genes=self.selection.genes,
                exclude=self.selection.exclude,
            )
        except InputError as error:
            raise InputError(*(f"Block {self.block}: {p}" for p in error.problems)) from error
        self.reference_ = GeneReference.fit(values[self.genes_])
        matrix = values[self.genes_].to_numpy(np.float64)
        self.fill_ = self._fill(matrix).astype(np.float32)
        self.centre_, self.scale_ = self._centre_and_scale(
            np.where(np.isnan(matrix), self.fill_, matrix)
        )
        return self

    def transform(self, values: pd.DataFrame) -> Floats:
        """The model's input for some patients.

        Args:
            values: Patients x genes, NaN for missing; other genes are ignored and absent ones
                imputed.

        Returns:
            float32 [n_patients, K], genes in the order of ``genes_``.

        Raises:
            InputError: More than ``max_missing_genes`` of the genes are absent.
        """
        missing = self.missing_genes(values)
        if len(missing) > self.max_missing_genes * len(self.genes_):
            raise InputError(
                f"Block {self.block}: {len(missing)} of the model's {len(self.genes_)} genes are "
                f"absent from the table, more than the {self.max_missing_genes:.0%} that may be "
                f"imputed: {listed(missing)}. Check that genes are named by the same symbols."
            )
        matrix = values.reindex(columns=self.genes_).to_numpy(np.float32)
        matrix = (np.where(np.isnan(matrix), self.fill_, matrix) - self.centre_) / self.scale_
        return matrix if self.clip is None else np.clip(matrix, -self.clip, self.clip)

    def missing_genes(self, values: pd.DataFrame) -> list[str]:
        """The chosen genes that a table lacks, in order of rank."""
        present = set(values.columns)
        return [gene for gene in self.genes_ if gene not in present]

    def to_dict(self) -> dict[str, Any]:
        """Settings and genes, ready for JSON."""
        return {
            "selection": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in self.selection.model_dump().items()
            },
            "block": self.block,
            "impute": self.impute,
            "scale": self.scale,
            "clip": self.clip,
            "max_missing_genes": self.max_missing_genes,
            "genes": self.genes_,
        }

    def to_arrays(self) -> dict[str, Floats]:
        """The fitted arrays ``fill``, ``centre`` and ``scale`` and the reference's, each [K]."""
        fitted = {"fill": self.fill_, "centre": self.centre_, "scale": self.scale_}
        return fitted | (self.reference_.to_arrays() if self.reference_ else {})

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Restore what :meth:`to_dict` and :meth:`to_arrays` gave.

        Raises:
            InputError: The arrays are not those of the genes.
        """
        rest = {key: settings[key] for key in settings if key not in ("selection", "genes")}
        restored = cls(selection=SelectionSettings(**settings["selection"]), **rest)
        restored.genes_ = list(settings["genes"])
        wrong = [
            name
            for name in ("fill", "centre", "scale")
            if name not in arrays or arrays[name].shape != (len(restored.genes_),)
        ]
        if wrong:
            raise InputError(
                f"Block {restored.block}: the stored arrays {listed(wrong)} do not hold one value "
                f"for each of the {len(restored.genes_)} genes; the files do not belong together."
            )
        restored.fill_ = arrays["fill"].astype(np.float32)
        restored.centre_ = arrays["centre"].astype(np.float32)
        restored.scale_ = arrays["scale"].astype(np.float32)
        restored.reference_ = GeneReference.from_arrays(restored.genes_, arrays)
        if restored.reference_ is None and restored.scale == "standard":
            restored.reference_ = GeneReference.from_scaling(
                restored.genes_, restored.centre_, restored.scale_
            )
        return restored

    def _fill(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.impute == "zero":
            return np.zeros(matrix.shape[1])
        average = np.nanmedian if self.impute == "median" else np.nanmean
        return np.asarray(average(matrix, axis=0))

    def _centre_and_scale(self, matrix: NDArray[np.float64]) -> tuple[Floats, Floats]:
        if self.scale == "none":
            return np.zeros(matrix.shape[1], np.float32), np.ones(matrix.shape[1], np.float32)
        spread = matrix.std(axis=0).astype(np.float32)
        return matrix.mean(axis=0).astype(np.float32), np.where(spread > 0, spread, np.float32(1))
