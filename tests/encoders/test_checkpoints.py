"""Published checkpoints under other names than timm's."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from histodistill.encoders.checkpoints import from_transformers, load_weights
from histodistill.encoders.conch import AttentionPooler, ConchVision, with_position_grid

timm = pytest.importorskip("timm")


def randomised(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        value.normal_(0, 0.1, generator=generator)
    return network.eval()


# timm's names -> those of the transformers library, for ViT and for DINOv2.
VIT = (
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
DINOV2 = (
    (r"\.ls([12])\.gamma", r".layer_scale\1.lambda1"),
    (r"\.mlp\.fc1\.", ".mlp.weights_in."),
    (r"\.mlp\.fc2\.", ".mlp.weights_out."),
)
BOTH = (
    (r"^cls_token", "embeddings.cls_token"),
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
)


def as_transformers(state, names):
    """A timm state dict as the transformers library saves the same network."""
    renamed = {}
    for key, value in state.items():
        for pattern, replacement in (*BOTH, *names):
            key = re.sub(pattern, replacement, key)
        if ".attn.qkv." in key:
            for part, own in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[key.replace(".attn.qkv.", f".attention.attention.{part}.")] = own
        else:
            renamed[key] = value
    return renamed


SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}


@pytest.mark.parametrize(
    ("model", "names", "prefix"),
    [("vit_base_patch16_224", VIT, "vit."), ("vit_large_patch14_dinov2", DINOV2, "")],
)
def test_transformers_names_become_timms(model, names, prefix):
    options = SMALL | ({"img_size": 224, "patch_size": 16} if "dinov2" in model else {})
    network = randomised(timm.create_model(model, **options))
    published = as_transformers(network.state_dict(), names)
    extra = {"embeddings.mask_token": torch.zeros(1, 24), "pooler.dense.bias": torch.zeros(24)}
    converted = from_transformers(
        {prefix + key: value for key, value in (published | extra).items()}, registers=False
    )
    assert converted.keys() == network.state_dict().keys()
    assert all(torch.equal(converted[key], value) for key, value in network.state_dict().items())


def test_positions_of_the_class_token_move_into_it_where_there_are_registers(tmp_path):
    options = SMALL | {"img_size": 224, "init_values": 1e-5}
    network = randomised(timm.create_model("vit_base_patch14_reg4_dinov2", **options))
    published = as_transformers(network.state_dict(), DINOV2)
    published["embeddings.register_tokens"] = published.pop("reg_token")
    position = torch.full((1, 1, 24), 0.5)
    published["embeddings.position_embeddings"] = torch.cat(
        [position, published["embeddings.position_embeddings"]], dim=1
    )
    published["embeddings.cls_token"] = published["embeddings.cls_token"] - position
    torch.save(published, tmp_path / "hibou.bin")
    loaded = timm.create_model("vit_base_patch14_reg4_dinov2", **options).eval()
    load_weights(loaded, tmp_path / "hibou.bin")
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.allclose(loaded(image), network(image), atol=1e-5)


def test_attention_pooling_against_a_loop_over_heads():
    pooler = randomised(AttentionPooler(32, 48))
    tokens = torch.randn(3, 7, 48, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        query = pooler.to_q(pooler.ln_q(pooler.query))[0]
        key, value = pooler.to_kv(pooler.ln_k(tokens)).split(32, dim=-1)
        heads = []
        for head in range(8):
            part = slice(4 * head, 4 * head + 4)
            weights = torch.softmax(key[..., part] @ query[part] / 2, dim=1)
            heads.append((weights[..., None] * value[..., part]).sum(1))
        expected = pooler.to_out(torch.cat(heads, dim=-1))
        assert torch.allclose(pooler(tokens), expected, atol=1e-5)


def test_conchs_positions_are_resampled_as_its_release_does_at_each_call(tmp_path):
    options = SMALL | {"init_values": 1e-6, "global_pool": "", "patch_size": 16}
    trunk = timm.create_model("vit_large_patch16_224", img_size=64, **options)
    released = randomised(ConchVision(trunk, 16, 24))
    torch.save(released.state_dict(), tmp_path / "conch.bin")
    larger = timm.create_model("vit_large_patch16_224", img_size=128, **options)
    network = ConchVision(larger, 16, 24).eval()
    load_weights(network, tmp_path / "conch.bin")
    position = trunk.pos_embed.detach()
    grid = position[:, 1:].reshape(1, 4, 4, 24).permute(0, 3, 1, 2)
    expected = functional.interpolate(grid, scale_factor=(8.1 / 4, 8.1 / 4), mode="bicubic")
    assert torch.equal(larger.pos_embed[:, :1], position[:, :1])
    assert np.allclose(
        larger.pos_embed[0, 1:].detach(), expected[0].permute(1, 2, 0).reshape(64, 24), atol=1e-6
    )
    assert with_position_grid(released.state_dict(), 4).keys() == released.state_dict().keys()
