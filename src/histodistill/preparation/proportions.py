"""Learning from proportions: which patches are those whose number follows a programme of genes.

Genes tell of every training patient how much of something its slide must hold, and of no patch
whether it is that. A classifier of patches is found by expectation and maximisation (EM): patches
are weighted so that each bag holds as many as its genes foretell, the classifier learns from the
weights, and its answers weight the patches anew. Learning from label proportions: Quadrianto et
al., Journal of Machine Learning Research 10, 2009; Yu et al., ICML 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.features import BagStore

# Shares of the patches that are looked for: rare, uncommon and common tissue. Each is looked for
# among patients with a high score and among those with a low one.
SHARES = (0.02, 0.05, 0.2)
# Patches that are learnt from, of all patients together, and of each patient where there are as
# many: few patches of a bag do not show the share that its genes foretell, so that many patients
# with few each teach less than some of them with more.
_PATCHES, _FEWEST = 40_000, 200
# Random Fourier features of a Gaussian kernel (Rahimi and Recht, NIPS 2007), and its width: the
# squared distance of standardised features, per feature, is divided by twice this.
_FOURIER, _WIDTH = 512, 1.0
_ROUNDS, _STEPS, _PENALTY = 12, 4, 0.03
# Of a bag, the least and the largest share that is believed.
_LEAST, _MOST = 1e-3, 0.9


class Detectors:
    """How likely a patch is one of those whose number follows a score, for several shares.

    Args:
        centre: Mean of each feature, float32 [F].
        rate: Reciprocal of its standard deviation, float32 [F]; 0 for constant features.
        frequencies: Of the random Fourier features, float32 [F, R].
        phases: Float32 [R].
        weight: Float32 [F + R, m].
        bias: Float32 [m].
    """

    def __init__(
        self,
        centre: Tensor,
        rate: Tensor,
        frequencies: Tensor,
        phases: Tensor,
        weight: Tensor,
        bias: Tensor,
    ) -> None:
        self.centre = centre
        self.rate = rate
        self.frequencies = frequencies
        self.phases = phases
        self.weight = weight
        self.bias = bias

    def __len__(self) -> int:
        return len(self.bias)

    def transform(self, bag: Tensor) -> Tensor:
        """Probabilities [n, m] float32 of patches [n, F] of any floating dtype, on their device."""
        own = [value.to(bag.device) for value in (self.weight, self.bias)]
        return torch.sigmoid(torch.addmm(own[1], self._expanded(bag), own[0]))

    def _expanded(self, patches: Tensor) -> Tensor:
        """Fourier features, then standardised ones: float32 [n, R + F]."""
        device = patches.device
        standardised = (patches.float() - self.centre.to(device)) * self.rate.to(device)
        waves = torch.addmm(self.phases.to(device), standardised, self.frequencies.to(device))
        return torch.cat([waves.cos_().mul_(2**0.5), standardised], dim=1)

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored with a model."""
        return {name: getattr(self, _NAMES[name]) for name in _NAMES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Detectors:
        """Restore what :meth:`to_tensors` returned."""
        return cls(**{own: tensors[name] for name, own in _NAMES.items()})


_NAMES = {
    f"detectors_{name}": name
    for name in ("centre", "rate", "frequencies", "phases", "weight", "bias")
}


def find_detectors(
    bags: BagStore,
    patients: Sequence[str],
    scores: NDArray[np.float64],
    part: NDArray[np.int64],
) -> tuple[Detectors, NDArray[np.float64]]:
    """Detectors of patches that are many where a score is high, and where it is low.

    Args:
        bags: Bags of the cohort.
        patients: Training patients.
        scores: Score of each, [n].
        part: Part of each, [n]: detectors are found without each part in turn.

    Returns:
        The detectors, found with all patients, and what the patches of each patient are to
        detectors that were found without its part: their mean, [n, m].
    """
    teaching = _teaching(bags, patients, scores, part)
    size = max(1, _PATCHES // len(teaching))
    generator = torch.Generator().manual_seed(0)

    def drawn(patient: str) -> Tensor:
        return bags.sample(patient, size, generator).float().cpu()

    taught = [drawn(patients[i]) for i in teaching]
    expected = _expected(scores)
    blank = _blank(torch.cat(taught), expected.shape[1])
    expanded = dict(zip(teaching.tolist(), map(blank._expanded, taught), strict=True))
    told = np.empty(expected.shape)
    for number in np.unique(part):
        others = teaching[part[teaching] != number]
        weight, bias = _learnt([expanded[i] for i in others.tolist()], expected[others])
        for i in np.flatnonzero(part == number).tolist():
            own = expanded[i] if i in expanded else blank._expanded(drawn(patients[i]))
            told[i] = torch.sigmoid(own @ weight + bias).mean(dim=0)
    blank.weight, blank.bias = _learnt(list(expanded.values()), expected[teaching])
    return blank, told


def _teaching(
    bags: BagStore,
    patients: Sequence[str],
    scores: NDArray[np.float64],
    part: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Who is learnt from, [t] in order: as many of each part as fit, from low scores to high."""
    wanted = sum(min(bags.n_patches(patient), _FEWEST) for patient in patients)
    kept = min(1.0, _PATCHES / wanted)
    chosen = []
    for number in np.unique(part):
        own = np.flatnonzero(part == number)
        ranked = own[np.argsort(scores[own], kind="stable")]
        places = np.linspace(0, len(own) - 1, max(1, int(kept * len(own)))).round()
        chosen.append(ranked[places.astype(np.int64)])
    return np.unique(np.concatenate(chosen))


def _expected(scores: NDArray[np.float64]) -> Tensor:
    """The share of patches that each score foretells, [n, m]: one deviation is a factor of e."""
    standardised = torch.from_numpy((scores - scores.mean()) / max(float(scores.std()), 1e-12))
    relative = torch.stack([torch.exp(standardised), torch.exp(-standardised)], dim=1)
    relative = relative / relative.mean(dim=0)
    shares = torch.cat([relative * share for share in SHARES], dim=1)
    return shares.clamp(_LEAST, _MOST).float()


def _blank(patches: Tensor, number: int) -> Detectors:
    """Detectors that know the scale of patches [n, F], and nothing else yet."""
    n_features = patches.shape[1]
    rng = np.random.default_rng(0)
    deviation = patches.std(dim=0)
    scale = np.sqrt(1 / (_WIDTH * n_features))
    frequencies = rng.normal(0, scale, (n_features, _FOURIER))
    return Detectors(
        patches.mean(dim=0),
        torch.where(deviation > 0, 1 / deviation, torch.zeros(())),
        torch.from_numpy(frequencies).float(),
        torch.from_numpy(rng.uniform(0, 2 * np.pi, _FOURIER)).float(),
        torch.zeros(n_features + _FOURIER, number),
        torch.zeros(number),
    )


def _learnt(bags: Sequence[Tensor], expected: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [D, m] and bias [m] by EM, from expanded patches of bags and their shares [b, m]."""
    owner = torch.repeat_interleave(
        torch.arange(len(bags)), torch.tensor([len(bag) for bag in bags])
    )
    inputs = torch.cat(list(bags))
    turn = _turned(inputs)
    inputs = inputs @ turn
    prior, weights = torch.logit(expected), expected[owner]
    usual = torch.logit(weights.mean(dim=0))
    weight, bias = torch.zeros(inputs.shape[1], expected.shape[1]), usual.clone()
    for _ in range(_ROUNDS):
        weight, bias = _maximised(inputs, turn, weights, weight, bias)
        evidence = inputs @ weight + (bias - usual)
        weights = _balanced(evidence + prior[owner], owner, expected)
    return turn @ weight, bias


def _turned(inputs: Tensor) -> Tensor:
    """Axes [D, D] along which the loss is about equally curved, so that few steps are enough."""
    curvature = (inputs.T @ inputs).double() / len(inputs)
    curvature += 2 * _PENALTY * torch.eye(len(curvature), dtype=torch.float64)
    turn: Tensor = torch.linalg.inv(torch.linalg.cholesky(curvature)).T.float().contiguous()
    return turn


def _maximised(
    inputs: Tensor, turn: Tensor, weights: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Logistic regressions on weighted patches, all columns at once, from where they were."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")
    total = weights.sum(dim=0)

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = torch.addmm(bias, inputs, weight)
        losses = torch.nn.functional.softplus(logits) - weights * logits
        penalty = _PENALTY * (turn @ weight).square().sum()
        value = (losses.sum(dim=0) / total).sum() + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _balanced(logits: Tensor, owner: Tensor, expected: Tensor) -> Tensor:
    """Probabilities [n, m] of logits, each bag's moved together so that they add up to its share.

    By bisection: the mean of a bag's probabilities grows with what is added to its logits.
    """
    sizes = torch.bincount(owner, minlength=len(expected))[:, None]
    low, high = torch.full_like(expected, -30.0), torch.full_like(expected, 30.0)
    for _ in range(25):
        middle = (low + high) / 2
        probabilities = torch.sigmoid(logits + middle[owner])
        means = torch.zeros_like(expected).index_add_(0, owner, probabilities) / sizes
        below = means < expected
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.sigmoid(logits + ((low + high) / 2)[owner])
