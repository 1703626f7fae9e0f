"""Each network against its equations, patient by patient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from histodistill.model.layers.fusion import ConcatFusion
from histodistill.model.layers.nystrom import NystromAttention
from histodistill.model.students.transmil import squared
from histodistill.model.teachers.multimodal.cmta import CMTA, SequenceTransformer
from histodistill.model.teachers.multimodal.late import LateFusion
from histodistill.model.teachers.multimodal.mcat import MCAT, CoAttention, TokenTransformer
from histodistill.model.teachers.multimodal.pathomic import PathomicFusion
from histodistill.model.teachers.multimodal.porpoise import Porpoise
from tests.model.teachers.multimodal.equations import (
    all_genes,
    encoded_tokens,
    kronecker,
    linear,
    multihead,
    pooled,
)
from tests.model.teachers.multimodal.patients import answer, one_by_one, patients, teacher

Equations = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def concatenated(fusion: ConcatFusion, path: Tensor, omic: Tensor) -> Tensor:
    first, _, second, _ = fusion.joint
    return relu(linear(second, relu(linear(first, torch.cat([path, omic])))))


def porpoise(network: nn.Module, patches: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
    assert isinstance(network, Porpoise)
    slide = pooled(network.attention, relu(linear(network.patches[1], patches)))
    path = relu(linear(network.slide[0], slide))
    return kronecker(network.fusion, path, all_genes(network.genes, tokens))


def pathomic(network: nn.Module, patches: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
    assert isinstance(network, PathomicFusion)
    slide = pooled(network.attention, relu(linear(network.patches[0], patches)))
    path = relu(linear(network.slide[0], slide))
    return kronecker(network.fusion, path, all_genes(network.genes, tokens))


def transformed(network: TokenTransformer, tokens: Tensor) -> Tensor:
    for layer in network.layers.layers:
        assert isinstance(layer, nn.TransformerEncoderLayer)
        tokens = layer.norm1(tokens + multihead(layer.self_attn, tokens, tokens))
        tokens = layer.norm2(tokens + linear(layer.linear2, relu(linear(layer.linear1, tokens))))
    return relu(linear(network.out[0], pooled(network.attention, tokens)))


def mcat(network: nn.Module, patches: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
    assert isinstance(network, MCAT)
    hidden = relu(linear(network.patches[0], patches))
    omic = encoded_tokens(network.tokens, tokens)[present]
    guided = multihead(as_multihead(network.coattention), omic, hidden)
    path = transformed(network.path, guided)
    return concatenated(network.fusion, path, transformed(network.omic, omic))


def as_multihead(coattention: CoAttention) -> nn.MultiheadAttention:
    """PyTorch's attention with the same weights, and a bias of the keys, which is no matter."""
    layers = coattention.query, coattention.key, coattention.value
    width = coattention.out.in_features
    theirs = nn.MultiheadAttention(width, num_heads=1).double()
    key_bias = torch.arange(width, dtype=torch.float64)
    biases = [coattention.query.bias, key_bias, coattention.value.bias]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.in_proj_bias.copy_(torch.cat(biases))
    theirs.out_proj.load_state_dict(coattention.out.state_dict())
    return theirs


def sequence(network: SequenceTransformer, tokens: Tensor) -> Tensor:
    first, second = network.layers
    assert isinstance(first, nn.Sequential)
    assert isinstance(second, nn.Sequential)
    tokens = torch.cat([network.token, tokens])
    tokens = tokens + first[1](normalised(first[0], tokens))
    tokens = torch.cat([tokens[:1], network.positions(tokens[1:])])
    tokens = tokens + second[1](normalised(second[0], tokens))
    return normalised(network.norm, tokens)


def normalised(norm: nn.Module, tokens: Tensor) -> Tensor:
    assert isinstance(norm, nn.LayerNorm)
    centred = tokens - tokens.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1, keepdim=True) + norm.eps).sqrt()
    return centred / deviation * norm.weight + norm.bias


def translated(network: CMTA, patches: Tensor, tokens: Tensor, present: Tensor) -> list[Tensor]:
    """P, G, translated P and translated G of a patient."""
    hidden = relu(linear(network.patches[3], relu(linear(network.patches[0], patches))))
    path = sequence(network.path_encoder, squared(hidden))
    omic = sequence(network.omic_encoder, encoded_tokens(network.tokens, tokens)[present])
    path_found = multihead(network.path_to_omic, path[1:], omic[1:])
    omic_found = multihead(network.omic_to_path, omic[1:], path[1:])
    decoded = sequence(network.path_decoder, path_found), sequence(network.omic_decoder, omic_found)
    return [path[0], omic[0], decoded[0][0], decoded[1][0]]


def cmta(network: nn.Module, patches: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
    assert isinstance(network, CMTA)
    path, omic, path_translated, omic_translated = translated(network, patches, tokens, present)
    return concatenated(network.fusion, (path + path_translated) / 2, (omic + omic_translated) / 2)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize(
    ("name", "equations"),
    [("porpoise", porpoise), ("pathomic", pathomic), ("mcat", mcat), ("cmta", cmta)],
)
def test_equations(name: str, equations: Equations, n_classes: int) -> None:
    network = teacher(name, n_classes)
    bags, genes = patients()
    output = answer(network, bags, genes)
    present = genes.mask()
    features = [
        equations(network, patches, tokens, present[row])
        for row, (patches, tokens) in enumerate(one_by_one(bags, genes))
    ]
    torch.testing.assert_close(output.features, torch.stack(features))
    classifier = network.get_submodule("classifier")
    torch.testing.assert_close(output.logits, linear(classifier, torch.stack(features)))
    assert output.logits.shape == (4, n_classes)
    assert output.rows.tolist() == [0, 1, 2, 3]


def test_late_fusion_is_the_geometric_mean_of_both_probabilities() -> None:
    network = teacher("late", 3)
    assert isinstance(network, LateFusion)
    bags, genes = patients()
    slide, genomic = network.slide(bags), network.genomic(genes)
    product = (slide.logits.softmax(1) * genomic.logits.softmax(1)).sqrt()
    output = answer(network, bags, genes)
    torch.testing.assert_close(output.logits, product.log())
    torch.testing.assert_close(output.features, (slide.features + genomic.features) / 2)


def test_late_fusion_of_the_networks_that_the_settings_name() -> None:
    network = teacher("late", student="mean", genomic="snn")
    assert isinstance(network, LateFusion)
    assert type(network.slide).__name__ == "MeanPooling"
    assert type(network.genomic).__name__ == "SNN"


def test_the_alignment_loss_moves_the_translations_towards_what_the_encoders_found() -> None:
    network = teacher("cmta")
    assert isinstance(network, CMTA)
    bags, genes = patients()
    assert answer(network, bags, genes).auxiliary is None
    auxiliary = answer(network.train(), bags, genes).auxiliary
    assert auxiliary is not None
    parts = [
        torch.stack(translated(network, patches, tokens, genes.mask()[row]))
        for row, (patches, tokens) in enumerate(one_by_one(bags, genes))
    ]
    path, omic, path_translated, omic_translated = torch.stack(parts, dim=1)
    expected = (path - path_translated).abs().mean() + (omic - omic_translated).abs().mean()
    torch.testing.assert_close(auxiliary, expected)

    # The encoder's own class token is the target, and is not drawn towards the translation.
    token = network.path_encoder.token
    (path_translated - path.detach()).abs().mean().backward(retain_graph=True)
    (omic_translated - omic.detach()).abs().mean().backward()
    by_hand = token.grad
    assert by_hand is not None
    token.grad = None
    auxiliary.backward()
    torch.testing.assert_close(token.grad, by_hand)


def test_a_long_bag_is_attended_through_landmarks() -> None:
    """Beyond four tokens for each unit of width; the answer stays near the exact one."""
    network = teacher("cmta", width=16)
    assert isinstance(network, CMTA)
    torch.manual_seed(1)
    hidden = squared(network.patches(torch.randn(200, 6, dtype=torch.float64)))
    approximate, _ = network.path_encoder(hidden)
    for module in network.modules():
        if isinstance(module, NystromAttention):
            module.landmarks = 1000
    exact, _ = network.path_encoder(hidden)
    difference = (approximate - exact).abs().max()
    assert 0 < difference < 0.1 * exact.abs().max()
