"""The equations that several networks share, for one patient, written out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, relu

from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.fusion import (
    BilinearProduct,
    GatedModality,
    KroneckerFusion,
)
from histodistill.model.layers.self_normalising import (
    SelfNormalisingNetwork,
    TokenEncoders,
    TokenLinear,
)


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return x @ layer.weight.T + layer.bias


def pooled(attention: GatedAttention, instances: Tensor) -> Tensor:
    """Gated-attention pooling of instances [N, d]."""
    content, gate = attention.gate.weight.chunk(2)
    content_bias, gate_bias = attention.gate.bias.chunk(2)
    scores = []
    for h in instances:
        gated = torch.tanh(content @ h + content_bias) * torch.sigmoid(gate @ h + gate_bias)
        scores.append(attention.score.weight[0] @ gated + attention.score.bias[0])
    weights = torch.stack([s.exp() for s in scores])
    return torch.stack(
        [w * h for w, h in zip(weights / weights.sum(), instances, strict=True)]
    ).sum(0)


def attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Scaled dot-product attention, query by query."""
    rows = []
    for query in queries:
        weights = torch.stack([(query @ key / math.sqrt(len(query))).exp() for key in keys])
        rows.append((weights[:, None] * values).sum(0) / weights.sum())
    return torch.stack(rows)


def multihead(layer: nn.MultiheadAttention, queries: Tensor, context: Tensor) -> Tensor:
    """Multi-head attention with PyTorch's weights."""
    assert layer.in_proj_weight is not None
    projections = zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)
    q, k, v = (
        x @ weight.T + bias
        for x, (weight, bias) in zip((queries, context, context), projections, strict=True)
    )
    heads = [
        attended(*one)
        for one in zip(*(x.chunk(layer.num_heads, dim=1) for x in (q, k, v)), strict=True)
    ]
    return linear(layer.out_proj, torch.cat(heads, dim=1))


def all_genes(network: SelfNormalisingNetwork, tokens: Tensor) -> Tensor:
    """The self-normalising network on tokens [T, size]."""
    hidden = tokens.flatten()
    for layer in network.layers:
        assert isinstance(layer, nn.Sequential)
        hidden = elu(linear(layer[0], hidden))
    return hidden


def encoded_tokens(network: TokenEncoders, tokens: Tensor) -> Tensor:
    """Every token through the two layers of its position."""
    first, second = network.layers[0], network.layers[3]
    assert isinstance(first, TokenLinear)
    assert isinstance(second, TokenLinear)
    encoded = []
    for position, token in enumerate(tokens):
        hidden = elu(token @ first.weight[position] + first.bias[position])
        encoded.append(elu(hidden @ second.weight[position] + second.bias[position]))
    return torch.stack(encoded)


def gated(module: GatedModality, modality: Tensor, path: Tensor, omic: Tensor) -> Tensor:
    """o of Pathomic Fusion, a one appended."""
    if isinstance(module.gate, BilinearProduct):
        weight, bias = module.gate.weight, module.gate.bias
        z = torch.stack([path @ w @ omic + b for w, b in zip(weight, bias, strict=True)])
    else:
        z = linear(module.gate.linear, torch.cat([path, omic]))
    hidden = relu(linear(module.hidden[0], modality))
    out = relu(linear(module.out[0], torch.sigmoid(z) * hidden))
    return torch.cat([out, torch.ones_like(out[:1])])


def kronecker(fusion: KroneckerFusion, path: Tensor, omic: Tensor) -> Tensor:
    """The fused feature, after the last ReLU."""
    a, b = gated(fusion.path, path, path, omic), gated(fusion.omic, omic, path, omic)
    product = relu(linear(fusion.product[0], torch.kron(a, b)))
    skipped = (a, b) if fusion.skip_gated else (path, omic)
    return relu(linear(fusion.joint[0], torch.cat([product, *skipped])))
