"""Expression programmes: what the genes of training patients teach about every patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge, RidgeCV
from torch import Tensor

from histodistill.errors import InputError
from histodistill.features import BagStore

# Ridge penalties that are tried, per patient and standardised feature.
_PENALTIES = np.logspace(-1.5, 2.5, 17)
# Share of the penalty that predicts the programmes best: the student shrinks them once more.
_LENIENCE = 0.25
# A feature whose mean patch varies less than this, relative to its mean, says nothing.
_CONSTANT = 1e-6


class ExpressionProgrammes:
    """A linear map from a patch's features to programmes of gene expression.

    The programmes are the leading principal components of the training patients' genes, each
    gene weighted by how much it says about the label. Ridge regression predicts them from the
    mean patch of a patient; being linear, the same map reads every patch, and the mean of a
    bag's answers is the answer to its mean patch. Patients whose label is unknown teach the
    map as well.

    Args:
        weight: Float32 [F, k].
        bias: Float32 [k].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight = weight
        self.bias = bias

    @property
    def width(self) -> int:
        """Number k of programmes."""
        return self.weight.shape[1]

    @classmethod
    def fit(
        cls,
        means: NDArray[np.float64],
        genes: NDArray[np.float64],
        labels: NDArray[np.int64],
        n_programmes: int,
    ) -> ExpressionProgrammes:
        """Learn the map from training patients alone.

        The penalty follows from leave-one-out prediction of the programmes. The answers are
        scaled together to a standard deviation of 1, so that a programme that slides tell
        little about stays small.

        Args:
            means: Mean patch of each training patient, [n, F].
            genes: Scaled genes of the same patients, [n, K].
            labels: Their class indices, [n]; -1 where unknown.
            n_programmes: Number k of programmes; fewer where the genes have a lower rank.

        Raises:
            InputError: Fewer than three patients.
        """
        if len(means) < 3:
            raise InputError(
                f"expression programmes need three or more training patients with slides and "
                f"genomics, not {len(means)}"
            )
        centre, scale = means.mean(axis=0), means.std(axis=0)
        scale[scale <= _CONSTANT * np.maximum(np.abs(centre), _CONSTANT)] = np.inf
        standardised = (means - centre) / scale
        rank = min(n_programmes, len(genes) - 1, genes.shape[1])
        weighted = genes * label_correlation(genes, labels)
        scores = PCA(rank, svd_solver="full").fit_transform(weighted)
        best = RidgeCV(alphas=_PENALTIES * len(means)).fit(standardised, scores).alpha_
        ridge = Ridge(_LENIENCE * best).fit(standardised, scores)
        answers = ridge.predict(standardised)
        spread = max(float((answers - answers.mean(axis=0)).std()), 1e-12)
        coefficients = np.atleast_2d(ridge.coef_) / spread
        weight = coefficients.T / scale[:, None]
        bias = -centre @ weight
        return cls(_stored(weight), _stored(bias))

    def transform(self, bag: Tensor) -> Tensor:
        """Programmes [n, k] float32 of n patches [n, F], on the patches' device."""
        weight, bias = self.weight.to(bag.device), self.bias.to(bag.device)
        return torch.addmm(bias, bag.float(), weight)

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored with a model."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ExpressionProgrammes:
        """Restore what :meth:`to_tensors` returned."""
        return cls(tensors["weight"], tensors["bias"])


def _stored(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).float().contiguous()


def label_correlation(genes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Absolute correlation of each gene with the label, [K].

    For several classes, the root mean square over the classes, each against the others.
    Genes are all equal (1) where fewer than two classes are known.

    Args:
        genes: Genes, [n, K].
        labels: Class indices, [n]; -1 where unknown, whose patients do not count.
    """
    known = labels >= 0
    classes = np.unique(labels[known])
    if len(classes) < 2:
        return np.ones(genes.shape[1])
    one_hot = (labels[known, None] == classes).astype(float)
    one_hot = (one_hot - one_hot.mean(axis=0)) / one_hot.std(axis=0)
    centred = genes[known] - genes[known].mean(axis=0)
    covariance = one_hot.T @ centred / len(one_hot)
    spread = np.maximum(centred.std(axis=0), 1e-12)
    return np.asarray(np.sqrt(np.square(covariance / spread).mean(axis=0)))


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


# While an entry is in use, it keeps its bags and its map alive, so that their ids are their own.
_IN_USE: WeakValueDictionary[tuple[int, int], ProgrammeBags] = WeakValueDictionary()


def programme_bags(bags: BagStore, programmes: ExpressionProgrammes) -> ProgrammeBags:
    """The bags read by a map; the networks of one training share them, as long as one lives."""
    key = id(bags), id(programmes)
    known = _IN_USE.get(key)
    if known is None:
        known = _IN_USE[key] = ProgrammeBags(bags, programmes)
    return known


# Every member of every fold asks for the means, and reading all bags again takes minutes.
_MEANS: WeakKeyDictionary[BagStore, dict[str, NDArray[np.float64]]] = WeakKeyDictionary()


def mean_patches(bags: BagStore, patients: Sequence[str]) -> NDArray[np.float64]:
    """The mean patch of some patients, [n, F]; a bag is read once as long as its store lives."""
    known = _MEANS.setdefault(bags, {})
    for patient in patients:
        if patient not in known:
            known[patient] = bags.bag(patient).double().mean(dim=0).cpu().numpy()
    return np.array([known[patient] for patient in patients]).reshape(len(patients), bags.width)
