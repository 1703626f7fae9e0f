"""Expression programmes: what the genes of training patients teach about every patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.errors import InputError
from histodistill.features import BagStore
from histodistill.preparation.components import principal_components
from histodistill.preparation.detection import Detection, fit_detection, parts_of
from histodistill.preparation.gene_weights import label_correlation
from histodistill.preparation.patch_basis import PatchBasis
from histodistill.preparation.penalty import best_penalty
from histodistill.preparation.predicted_genes import PredictedGenes, fit_predicted_genes
from histodistill.preparation.proportions import find_detectors
from histodistill.preparation.prototypes import find_prototypes
from histodistill.preparation.squash import CONSTANT, Squash, in_parts

# Ridge penalties that are tried, per patient and standardised feature.
_PENALTIES = np.logspace(-1.5, 2.5, 17)
# Share of the penalty that predicts the programmes best: the student shrinks them once more.
_LENIENCE = 0.25
# Share of the variance of all inputs of the ridge regression that prototypes have.
_PROTOTYPES = 0.9


class ExpressionProgrammes:
    """A linear map from a patch's squashed features to programmes of gene expression.

    The programmes are the leading principal components of the training patients' genes, each
    gene weighted by how much it says about the label. Ridge regression predicts them from the
    mean squashed patch of a patient and, where prototypes are asked for, its mean memberships in
    them; being linear in these, the same map reads every patch, and the mean of a bag's answers
    is the answer to its mean. Patients whose label is unknown teach the map as well.

    Args:
        weight: Float32 [D, k].
        bias: Float32 [k].
        basis: What patches are read as first, D numbers each; None reads the features as they
            are.
        genes: What slides tell of the programmes and of single genes, for maps; no answer needs
            it. None where nobody has learnt it.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        basis: Squash | PatchBasis | None = None,
        genes: PredictedGenes | None = None,
    ) -> None:
        self.weight = weight
        self.bias = bias
        self.basis = basis
        self.genes = genes

    @property
    def width(self) -> int:
        """Number k of programmes."""
        return self.weight.shape[1]

    @property
    def n_detectors(self) -> int:
        """Number of detectors that patches are read by, beside their features."""
        found = self.basis.detectors if isinstance(self.basis, PatchBasis) else None
        return 0 if found is None else len(found)

    @property
    def n_prototypes(self) -> int:
        """Number of prototypes of tissue that patches are read by, beside their features."""
        return _number_of_prototypes(self.basis)

    @classmethod
    def fit(
        cls,
        means: NDArray[np.float64],
        genes: NDArray[np.float64],
        labels: NDArray[np.int64],
        n_programmes: int,
        basis: Squash | PatchBasis | None = None,
    ) -> ExpressionProgrammes:
        """Learn the map from training patients alone.

        Features are weighted by how much they say about the programmes, as genes are by the
        label. The penalty follows from leave-one-out prediction of the programmes. The answers
        are scaled together to a standard deviation of 1, so that a programme that slides tell
        little about stays small.

        Args:
            means: Mean of each training patient's patches as the ``basis`` reads them, [n, D].
            genes: Scaled genes of the same patients, [n, K].
            labels: Their class indices, [n], of T targets [n, T]; -1 where unknown.
            n_programmes: Number k of programmes; fewer where the genes have a lower rank.
            basis: What read the patches.

        Raises:
            InputError: Fewer than three patients.
        """
        _check_number(len(means))
        scores = _measured_programmes(genes, labels, n_programmes)
        return _fit(means, scores, basis)[0]

    def transform(self, bag: Tensor) -> Tensor:
        """Programmes [n, k] float32 of n patches [n, F], on the patches' device."""
        weight, bias = self.weight.to(bag.device), self.bias.to(bag.device)
        parts = [torch.addmm(bias, self._read(rows), weight) for rows in in_parts(bag)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _read(self, patches: Tensor) -> Tensor:
        """What the map is linear in, [n, D] float32 of patches [n, F]."""
        return patches.float() if self.basis is None else self.basis.transform(patches)

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored with a model; names of genes stand apart."""
        basis = {} if self.basis is None else self.basis.to_tensors()
        genes = {} if self.genes is None else self.genes.to_tensors()
        return {"weight": self.weight, "bias": self.bias, **basis, **genes}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], genes: Sequence[str] | None = None
    ) -> ExpressionProgrammes:
        """Restore what :meth:`to_tensors` returned.

        Args:
            tensors: The fitted values.
            genes: Names of the predicted genes; None where there are none.
        """
        predicted = None if genes is None else PredictedGenes.from_tensors(genes, tensors)
        return cls(tensors["weight"], tensors["bias"], _basis_from(tensors), predicted)


def _basis_from(tensors: Mapping[str, Tensor]) -> Squash | PatchBasis | None:
    """What patches are read as first, of a stored map."""
    if "prototypes" in tensors:
        return PatchBasis.from_tensors(tensors)
    return Squash.from_tensors(tensors) if "centre" in tensors else None


def fit_programmes(
    bags: BagStore,
    patients: Sequence[str],
    genes: NDArray[np.float64],
    labels: NDArray[np.int64],
    n_programmes: int,
    names: Sequence[str],
    groups: Sequence[str],
    n_prototypes: int | None = None,
    *,
    proportions: bool = False,
) -> ExpressionProgrammes:
    """Programmes of squashed patches, learnt from the bags of training patients.

    Args:
        bags: Bags of the cohort.
        patients: Training patients with slides and genes.
        genes: Their scaled genes, [n, K].
        labels: Their class indices, [n], of T targets [n, T]; -1 where unknown.
        n_programmes: Number of programmes.
        names: Names of the genes, ``block:gene``.
        groups: Hospital of each patient, or another group that is kept together where it is
            measured how well genes are predicted.
        n_prototypes: Prototypes of tissue that are read beside the squashed features, where
            patches differ within slides; None reads none.
        proportions: Where there are prototypes, read also detectors of the patches whose number
            the first programme foretells (see :mod:`histodistill.preparation.proportions`), as
            far as they prove their worth on training patients that they have not seen.

    Raises:
        InputError: Fewer than three patients.
    """
    _check_number(len(patients))
    basis = _fit_basis(bags, patients, n_prototypes)
    means = np.array([basis.mean(bags.bag(patient)) for patient in patients])
    scores = _measured_programmes(genes, labels, n_programmes)
    detection = None
    if proportions and isinstance(basis, PatchBasis):
        part = parts_of(groups)
        detectors, told = find_detectors(bags, patients, scores[:, 0], part)
        ridge = partial(_ridge, n_prototypes=len(basis.prototypes))
        detection = fit_detection(means, told, scores, ridge, part)
        if len(detection.weight):
            basis.detectors = detectors
            means = np.hstack([means, told])
    fitted, unit = _fit(means, scores, basis, detection)
    ridge = partial(_ridge, n_prototypes=_number_of_prototypes(basis), detection=detection)
    fitted.genes = fit_predicted_genes(means, genes, names, scores, ridge, groups, unit)
    return fitted


def _fit_basis(
    bags: BagStore, patients: Sequence[str], n_prototypes: int | None
) -> Squash | PatchBasis:
    squash = Squash.fit(bags.mean_patches(patients))
    found = None if n_prototypes is None else find_prototypes(bags, patients, n_prototypes)
    return squash if found is None else PatchBasis(squash, found)


def _number_of_prototypes(basis: Squash | PatchBasis | None) -> int:
    return len(basis.prototypes) if isinstance(basis, PatchBasis) else 0


def _measured_programmes(
    genes: NDArray[np.float64], labels: NDArray[np.int64], n_programmes: int
) -> NDArray[np.float64]:
    """The programmes [n, k] of patients, centred: principal components of weighted genes."""
    rank = min(n_programmes, len(genes) - 1, genes.shape[1])
    return principal_components(genes * label_correlation(genes, labels), rank)


def _fit(
    means: NDArray[np.float64],
    scores: NDArray[np.float64],
    basis: Squash | PatchBasis | None,
    detection: Detection | None = None,
) -> tuple[ExpressionProgrammes, float]:
    """The map to measured programmes [n, k], and its unit of them."""
    n_prototypes = _number_of_prototypes(basis)
    of_slides = means if detection is None else detection.regressed(means)
    coefficients, answers, scale = _regression(of_slides, scores, n_prototypes)
    unit = max(float((answers - answers.mean(axis=0)).std()), 1e-12)
    weight = (coefficients / unit).T * scale[:, None]
    if detection is not None:
        weight = detection.joined(weight, unit)
    bias = -means.mean(axis=0) @ weight
    return ExpressionProgrammes(_stored(weight), _stored(bias), basis), unit


def _regression(
    means: NDArray[np.float64], scores: NDArray[np.float64], n_prototypes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ridge regression of centred scores [n, k] on mean patches [n, D].

    Returns:
        Coefficients [k, D] of the inputs, centred and multiplied by the scale [D], which comes
        last; between them the answers [n, k].
    """
    from sklearn.linear_model import Ridge

    centre, scale = means.mean(axis=0), means.std(axis=0)
    scale[scale <= CONSTANT * np.maximum(np.abs(centre), CONSTANT)] = np.inf
    n_features = len(scale) - n_prototypes
    if n_prototypes:
        # One that few patients have would be blown up by its small deviation.
        rare = scale[n_features:]
        rare[:] = np.maximum(rare, np.median(rare))
    standardised = (means - centre) / scale
    factors = relevance(standardised, scores)
    if n_prototypes:
        factors *= _balance(standardised * factors, n_features)
    inputs = standardised * factors
    best = best_penalty(inputs, scores, _PENALTIES * len(means))
    ridge = Ridge(_LENIENCE * best).fit(inputs, scores)
    return np.atleast_2d(ridge.coef_), ridge.predict(inputs), factors / scale


def _balance(inputs: NDArray[np.float64], n_features: int) -> NDArray[np.float64]:
    """Factors [D] by which prototypes, the last columns, have their share of the variance."""
    variances = inputs.var(axis=0)
    total = float(variances.sum())
    factors = np.zeros(len(variances))
    for columns, share in (
        (slice(0, n_features), 1 - _PROTOTYPES),
        (slice(n_features, None), _PROTOTYPES),
    ):
        factors[columns] = np.sqrt(share * total / max(float(variances[columns].sum()), 1e-12))
    return factors


def _ridge(
    means: NDArray[np.float64],
    scores: NDArray[np.float64],
    n_prototypes: int,
    detection: Detection | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [D, k] and bias [k] from mean patches [n, D] to centred scores [n, k]."""
    of_slides = means if detection is None else detection.regressed(means)
    coefficients, _, scale = _regression(of_slides, scores, n_prototypes)
    weight = coefficients.T * scale[:, None]
    if detection is not None:
        weight = detection.joined(weight)
    return weight, -means.mean(axis=0) @ weight


def _check_number(n_patients: int) -> None:
    if n_patients < 3:
        raise InputError(
            f"expression programmes need three or more training patients with slides and "
            f"genomics, not {n_patients}"
        )


def relevance(
    standardised: NDArray[np.float64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Factors [F] of standardised features [n, F], by what they say about scores [n, k].

    The root mean square of a feature's covariances with the scores, which are centred; the mean
    square of all factors but those of constant features, which are 0, is 1.
    """
    squares = np.square(standardised.T @ scores).sum(axis=1)
    n_varying = max(int(standardised.any(axis=0).sum()), 1)
    return np.asarray(np.sqrt(squares / max(float(squares.sum()) / n_varying, 1e-12)))


def _stored(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).float().contiguous()


class ProgrammeBags:
    """Bags whose patches are read as expression programmes.

    Args:
        bags: Bags of patch features.
        programmes: Fitted map.
    """

    def __init__(self, bags: BagStore, programmes: ExpressionProgrammes) -> None:
        self._bags = bags
        self._programmes = programmes
        self._kept: dict[str, Tensor] = {}

    @property
    def patients(self) -> list[str]:
        """The patients, in the order of the bags."""
        return self._bags.patients

    @property
    def width(self) -> int:
        """Number k of programmes."""
        return self._programmes.width

    def n_patches(self, patient: str) -> int:
        """Number of rows of a patient's bag."""
        return self._bags.n_patches(patient)

    def bag(self, patient: str) -> Tensor:
        """A patient's whole bag, [n, k] float32; kept where the features are kept as well."""
        if patient in self._kept:
            return self._kept[patient]
        bag = self._programmes.transform(self._bags.bag(patient))
        if self._bags.in_memory:
            self._kept[patient] = bag
        return bag

    def sample(self, patient: str, size: int, generator: torch.Generator) -> Tensor:
        """A random part of a patient's bag, [min(n, size), k]; the rows that ``bags`` draws."""
        if not self._bags.in_memory:
            return self._programmes.transform(self._bags.sample(patient, size, generator))
        rows = self._bags.sampled_rows(patient, size, generator)
        bag = self.bag(patient)
        return bag if rows is None else bag.index_select(0, rows.to(bag.device))
