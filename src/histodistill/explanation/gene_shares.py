"""What each gene brought to the answers of the networks that read genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from histodistill.deploy import Bundle
from histodistill.deploy.gene_blocks import completed
from histodistill.errors import InputError
from histodistill.explanation.contributions import (
    COMPLETE,
    MOST_STRETCHES,
    Floats,
    Way,
    quadrature,
)
from histodistill.features import BagStore
from histodistill.inference import Member
from histodistill.model import Batch, Genes, NetworkName
from histodistill.model.pooling.towers import pool_patches
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.preparation import PreparedPatients

# Gene tokens of some patients, by block, and the log odds that a network makes of them, [n].
Tokens = dict[str, Tensor]
Answer = Callable[[Tokens], Tensor]

# Slopes that differ by less than this along the path are those of a linear network.
_STRAIGHT = 1e-5


@dataclass(frozen=True)
class GeneShares:
    """Signed shares of the genes in the log odds of patients.

    ``constant + shares.sum(axis=1)`` are the log odds of the class: its logit less the mean of the
    others', the mean over the members.

    Attributes:
        network: ``genomic`` or ``multimodal``.
        target: Index of the class.
        genes: Names ``block:gene``, K of them.
        patients: n patients with genes.
        shares: [n, K].
        values: The genes, scaled as in training; the mean over the members, [n, K].
        constant: Log odds of the same patient with the mean genes of training patients, [n].
        way: ``exact`` where the network is linear in the genes, else ``integrated gradients``.
        gap: By how much the sum of the shares misses the log odds, relative to what the genes
            moved; the largest of all patients and members.
        by_member: Mean size of a gene's share by each member, [members, K]; NaN where a member
            does not read the gene.
    """

    network: NetworkName
    target: int
    genes: tuple[str, ...]
    patients: tuple[str, ...]
    shares: Floats
    values: Floats
    constant: Floats
    way: Way
    gap: float
    by_member: Floats


def explain_genes(
    bundle: Bundle,
    genomics: Mapping[str, pd.DataFrame],
    bags: BagStore | None = None,
    *,
    patients: Sequence[str] | None = None,
    max_missing_genes: float = 0.2,
) -> list[GeneShares]:
    """Explain the genomic teacher's answers by genes, and the multimodal one's with slides.

    Exact where a network is linear in the genes. Else integrated gradients (Sundararajan et al.,
    ICML 2017, eq. 1) from the mean genes of training patients, summed until the shares add up
    within 1 %.

    Args:
        bundle: A trained model.
        genomics: Blocks by the bundle's names, patients x genes.
        bags: Bags of the patients with slides; None explains the genomic teacher alone.
        patients: Who is explained; by default everybody with genes.
        max_missing_genes: As for :func:`histodistill.predict`: who lacks more of a block is
            explained without it.

    Returns:
        One result for each network that can answer, and for each class where there are more than
        two.

    Raises:
        InputError: No network of the bundle reads genes, or nobody has what they read.
    """
    if not any(name in bundle.networks for name in ("genomic", "multimodal")):
        raise InputError("no network of this model reads genes: there is nothing to explain")
    blocks, _ = completed(bundle, genomics, max_missing_genes)
    with_genes = {patient for table in blocks.values() for patient in table.index}
    wanted = sorted(with_genes) if patients is None else [p for p in patients if p in with_genes]
    paired = [p for p in wanted if bags is not None and p in set(bags.patients)]
    positive = bundle.info.positive_index
    targets = [positive] if positive is not None else list(range(len(bundle.info.classes)))
    found = []
    for name, own in (("genomic", wanted), ("multimodal", paired)):
        if name in bundle.networks and own:
            for target in targets:
                parts = [_member(m, name, target, blocks, bags, own) for m in bundle.members]
                found.append(_together(parts))
    if not found:
        raise InputError("nobody has the genes, and the slides, that the model's teachers read")
    return found


def _member(
    member: Member,
    name: NetworkName,
    target: int,
    genomics: Mapping[str, pd.DataFrame],
    bags: BagStore | None,
    patients: Sequence[str],
) -> GeneShares:
    """The shares by one member."""
    transforms, token_size = member.transforms, member.networks.settings.token_size
    scaled = transforms.scaled(genomics)
    read = bags if name == "multimodal" else None
    prepared = PreparedPatients(read, scaled, transforms, token_size)
    network = getattr(member.networks.eval(), name)
    batches = [list(patients)] if name == "genomic" else [[patient] for patient in patients]
    parts = []
    for own in batches:
        batch = prepared.batch(own, device=torch.device("cpu"))
        assert batch.genes is not None
        answer = _answer(network, name, batch, batch.genes, target)
        parts.append(token_shares(answer, batch.genes.tokens))
    genes = [f"{block}:{gene}" for block in scaled for gene in transforms.blocks[block].genes_]
    shares = np.concatenate([_by_gene(part.shares, scaled) for part in parts])
    values = [scaled[block].reindex(list(patients)).fillna(0.0).to_numpy() for block in scaled]
    return GeneShares(
        network=name,
        target=target,
        genes=tuple(genes),
        patients=tuple(patients),
        shares=shares,
        values=np.hstack(values).astype(np.float64),
        constant=np.concatenate([part.constant for part in parts]),
        way="exact" if all(part.straight for part in parts) else "integrated gradients",
        gap=max(part.gap for part in parts),
        by_member=np.abs(shares).mean(axis=0, keepdims=True),
    )


def _answer(
    network: nn.Module, name: NetworkName, batch: Batch, genes: Genes, target: int
) -> Answer:
    """Log odds [n] of the class as the tokens change and the slides stay."""
    if name == "genomic":
        return lambda tokens: _margin(network(replace(genes, tokens=tokens)).logits, target)
    bags = batch.bags
    assert bags is not None
    if MULTIMODAL_TEACHERS.facts_of(type(network)).pooled_together:
        with torch.no_grad():  # patches are pooled once, whatever the genes
            (path,) = pool_patches(bags, [network.tower()])  # type: ignore[operator]
        return lambda tokens: _margin(
            network.answer(path, bags, replace(genes, tokens=tokens)).logits,  # type: ignore[operator]
            target,
        )
    return lambda tokens: _margin(network(bags, replace(genes, tokens=tokens)).logits, target)


def _margin(logits: Tensor, target: int) -> Tensor:
    """A class's logit less the mean of the others', [n]."""
    others = logits.sum(dim=1) - logits[:, target]
    return logits[:, target] - others / (logits.shape[1] - 1)


@dataclass(frozen=True)
class TokenShares:
    """Shares of gene tokens in the log odds of a batch.

    Attributes:
        shares: Of each gene of each token, by block, float64 [n, T, token_size].
        constant: Log odds where every gene is 0, [n].
        straight: Whether the network is linear in the genes.
        gap: By how much the sum misses the log odds, relative; the largest of all patients.
    """

    shares: Mapping[str, Tensor]
    constant: Floats
    straight: bool
    gap: float


def token_shares(answer: Answer, tokens: Tokens) -> TokenShares:
    """Integrated gradients from tokens of zeros, the mean of standardised genes.

    Args:
        answer: Log odds [n] of tokens; differentiable, each patient for its own.
        tokens: Gene tokens, by block, [n, T, token_size].
    """
    with torch.no_grad():
        whole = answer(tokens).double()
        constant = answer({name: torch.zeros_like(own) for name, own in tokens.items()}).double()
    moved = (whole - constant).abs()
    # Of a patient whom the genes hardly moved, the share of what they move others.
    scale = torch.maximum(moved, moved.mean()).clamp_min(1e-9)
    stretches = 1
    while True:
        slopes, straight = _mean_slopes(answer, tokens, stretches)
        shares = {name: slope * tokens[name].double() for name, slope in slopes.items()}
        total = torch.stack([own.sum(dim=(1, 2)) for own in shares.values()]).sum(dim=0)
        gap = float(((constant + total - whole).abs() / scale).max())
        if gap <= COMPLETE or 2 * stretches > MOST_STRETCHES:
            return TokenShares(shares, constant.numpy(), straight, gap)
        stretches *= 2


def _mean_slopes(answer: Answer, tokens: Tokens, stretches: int) -> tuple[dict[str, Tensor], bool]:
    """Mean gradients along the path, float64, and whether they are the same everywhere."""
    names = list(tokens)
    total = {name: torch.zeros_like(own, dtype=torch.float64) for name, own in tokens.items()}
    first: tuple[Tensor, ...] | None = None
    straight = True
    with torch.enable_grad():
        for point, weight in quadrature(stretches):
            place = {name: (own * point).requires_grad_() for name, own in tokens.items()}
            slopes = torch.autograd.grad(
                answer(place).sum(), [place[name] for name in names], materialize_grads=True
            )
            first = first or slopes
            straight = straight and _alike(first, slopes)
            for name, slope in zip(names, slopes, strict=True):
                total[name] += weight * slope.double()
    return total, straight


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    size = max(float(own.abs().max()) for own in one)
    apart = max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
    return apart <= _STRAIGHT * size


def _by_gene(shares: Mapping[str, Tensor], scaled: Mapping[str, pd.DataFrame]) -> Floats:
    """Shares of the genes of all blocks, the padding of the last tokens left out: [n, K]."""
    own = [shares[name].flatten(1)[:, : table.shape[1]] for name, table in scaled.items()]
    return np.asarray(torch.cat(own, dim=1).numpy())


def _together(parts: Sequence[GeneShares]) -> GeneShares:
    """The mean over the members, whose genes may differ: what a member does not read is 0."""
    genes = tuple(dict.fromkeys(gene for part in parts for gene in part.genes))
    spread = list(_spread(parts, genes))
    read = np.array([[gene in own for gene in genes] for own in (set(p.genes) for p in parts)])
    sizes = np.stack([np.abs(shares).mean(axis=0) for shares, _ in spread])
    values = np.stack([own for _, own in spread]).sum(axis=0) / read.sum(axis=0)
    return replace(
        parts[0],
        genes=genes,
        shares=np.mean([shares for shares, _ in spread], axis=0),
        values=values,
        constant=np.mean([part.constant for part in parts], axis=0),
        way="exact" if all(part.way == "exact" for part in parts) else "integrated gradients",
        gap=max(part.gap for part in parts),
        by_member=np.where(read, sizes, np.nan),
    )


def _spread(parts: Sequence[GeneShares], genes: Sequence[str]) -> Iterator[tuple[Floats, Floats]]:
    """Shares and values of each part over all genes, 0 where it does not read one."""
    place = {gene: column for column, gene in enumerate(genes)}
    for part in parts:
        columns = [place[gene] for gene in part.genes]
        found = np.zeros((2, len(part.patients), len(genes)))
        found[0][:, columns], found[1][:, columns] = part.shares, part.values
        yield found[0], found[1]
