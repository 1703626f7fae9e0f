"""Encoders with weights: local files of every kind, the offline encoder, files of one's own."""

import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from histodistill.encoders import ENCODERS, describe_encoder, load_encoder
from histodistill.encoders.networks import build_network
from histodistill.errors import InputError
from histodistill.files import sha256


def patches(count=3, side=224, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    )


def randomised(network, seed=0):
    """The network with every weight and statistic drawn anew, so that none can be forgotten."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.normal_(0, 0.05, generator=generator)
            if "running_var" in name:
                value.abs_().add_(1)
    return network


@pytest.fixture
def tiny(monkeypatch):
    """UNI's description over a tiny network, so that the whole path runs in milliseconds."""
    pytest.importorskip("timm")
    options = {"embed_dim": 24, "depth": 2, "num_heads": 2, "init_values": 1e-5}
    return replace(ENCODERS["uni"], name="tiny", width=24, options=options)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin", ".pth"])
def test_local_weights_give_the_features_of_the_network_that_was_saved(tiny, tmp_path, suffix):
    network = randomised(build_network(tiny))
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(
            {"model": network.state_dict()} if suffix == ".pth" else network.state_dict(), path
        )
    encoder = load_encoder(tiny, weights=path)
    images = patches().permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(each).double().view(1, 3, 1, 1) for each in (tiny.mean, tiny.std))
    with torch.inference_mode():
        expected = network.double()((images - mean) / std)
    assert torch.allclose(encoder.encode(patches()).double(), expected, atol=1e-4)
    assert encoder.weights_hash == sha256(path)


def test_a_whole_pathology_architecture_loads_from_the_authors_file_layout(tmp_path):
    """CTransPath at full size, as its authors distribute it: older stage names, under 'model'."""
    pytest.importorskip("timm")
    network = randomised(build_network(ENCODERS["ctranspath"]))
    published = {}
    for key, value in network.state_dict().items():
        parts = key.split(".")
        if "downsample" in key:
            parts[1] = str(int(parts[1]) - 1)
        published[".".join(parts)] = value
    published["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    published["head.weight"], published["head.bias"] = torch.zeros(2, 768), torch.zeros(2)
    torch.save({"model": published}, tmp_path / "ctranspath.pth")
    encoder = load_encoder("ctranspath", weights=tmp_path / "ctranspath.pth")
    again = torch.from_numpy(encoder.fit(patches(1).numpy()))
    mean = torch.tensor(encoder.encoder.mean).view(1, 3, 1, 1)
    std = torch.tensor(encoder.encoder.std).view(1, 3, 1, 1)
    with torch.inference_mode():
        expected = network((again.permute(0, 3, 1, 2) / 255 - mean) / std)
    assert torch.allclose(encoder.encode(patches(1)), expected, atol=1e-3)


def test_virchow_joins_class_token_and_mean_of_patch_tokens_without_registers(tiny, tmp_path):
    options = {**tiny.options, "global_pool": "", "reg_tokens": 4}
    encoder = replace(
        tiny, options=options, width=48, pooling="class token and mean of patch tokens"
    )
    network = randomised(build_network(encoder))
    torch.save(network.state_dict(), tmp_path / "virchow.bin")
    loaded = load_encoder(encoder, weights=tmp_path / "virchow.bin")
    images = patches().permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (encoder.mean, encoder.std))
    with torch.inference_mode():
        tokens = network((images - mean) / std)
    expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], dim=1)
    assert torch.allclose(loaded.encode(patches()), expected, atol=1e-4)


def test_any_timm_model_by_name(tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_resnet", num_classes=10).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    described = describe_encoder("timm:test_resnet.r160_in1k")
    assert described.input_px == 160
    encoder = load_encoder(described, weights=tmp_path / "weights.pth")
    with torch.inference_mode():
        images = patches(2, 160).permute(0, 3, 1, 2) / 255
        mean, std = (
            torch.tensor(each).view(1, 3, 1, 1) for each in (described.mean, described.std)
        )
        expected = network.forward_head(
            network.forward_features((images - mean) / std), pre_logits=True
        )
    assert torch.allclose(encoder.encode(patches(2, 160)), expected, atol=1e-4)
    assert encoder.width == expected.shape[1]


def test_an_unknown_timm_model_is_refused():
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=r"has no model called 'vit_of_tomorrow'"):
        describe_encoder("timm:vit_of_tomorrow")


def test_the_weights_of_another_network_are_refused(tiny, tmp_path):
    other = build_network(replace(tiny, options={**tiny.options, "depth": 3, "embed_dim": 16}))
    torch.save(other.state_dict(), tmp_path / "other.bin")
    with pytest.raises(InputError, match=r"weights of another network.*blocks\.2.*holds blocks"):
        load_encoder(tiny, weights=tmp_path / "other.bin")


def test_names_that_promise_another_architecture_are_refused(tiny, tmp_path):
    for name in ("encoder.layer.0.attention.query.weight", "encoder.layer.0.attn.query.weight"):
        torch.save({name: torch.zeros(3)}, tmp_path / "odd.pth")
        with pytest.raises(InputError, match=r"odd\.pth holds the weights of another network"):
            load_encoder(tiny, weights=tmp_path / "odd.pth")


def test_a_weights_file_that_runs_code_is_refused(tiny, tmp_path):
    torch.save({"model": tiny}, tmp_path / "pickled.pth")
    with pytest.raises(InputError, match=r"could not be read as a file of tensors"):
        load_encoder(tiny, weights=tmp_path / "pickled.pth")


def test_damaged_and_absent_weights_are_told(tiny, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(InputError, match=r"cut.safetensors: no whole safetensors file"):
        load_encoder(tiny, weights=tmp_path / "cut.safetensors")
    (tmp_path / "long.safetensors").write_bytes((10**9).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match=r"long.safetensors: no whole safetensors file"):
        load_encoder(tiny, weights=tmp_path / "long.safetensors")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(200_000_000))
    with pytest.raises(InputError, match=r"bomb.pth: unpacks to more than such a file can hold"):
        load_encoder(tiny, weights=tmp_path / "bomb.pth")
    with pytest.raises(InputError, match=r"absent.bin does not exist"):
        load_encoder(tiny, weights=tmp_path / "absent.bin")


def test_the_offline_encoder_recognises_what_its_training_images_looked_like():
    """Preprocessing is right if activations have the statistics that training recorded."""
    pytest.importorskip("efficientnet_lite_pytorch")
    from sklearn.datasets import load_sample_image

    encoder = load_encoder("efficientnet-lite0")
    photograph = Image.fromarray(load_sample_image("flower.jpg")).crop((100, 0, 527, 427))
    image = torch.from_numpy(np.array(photograph))[None]
    stem = encoder._network.get_submodule("network._bn0")
    seen = []
    stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = encoder.encode(image)
    ratio = (seen[0].var((0, 2, 3)) / stem.get_buffer("running_var")).log().median()
    assert abs(ratio) < 1.0  # 1.9 under the mean and deviation of other ImageNet models
    assert features.shape == (1, 1280)


def test_large_patches_are_resized_as_pillow_does(tiny):
    encoder = load_tiny(tiny)
    fitted = encoder.fit(patches(1, 300).numpy())
    expected = Image.fromarray(patches(1, 300).numpy()[0]).resize(
        (224, 224), Image.Resampling.BILINEAR
    )
    assert np.array_equal(fitted[0], np.asarray(expected))


def test_gigapath_resizes_then_cuts_the_centre(tiny):
    encoder = load_tiny(replace(tiny, resize_px=256))
    image = patches(1, 256).numpy()
    assert np.array_equal(encoder.fit(image), image[:, 16:240, 16:240])


def load_tiny(encoder):
    from histodistill.encoders.patch_encoder import PatchEncoder

    return PatchEncoder(encoder, build_network(encoder), "0" * 64, torch.device("cpu"))


def test_an_onnx_file_of_ones_own(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("images", kind, ["b", 3, 32, 32])],
        [helper.make_tensor_value_info("features", kind, ["b", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "own.onnx")
    described = describe_encoder("onnx", input_px=32, mean=(0.0,) * 3, std=(1.0,) * 3)
    encoder = load_encoder(described, weights=tmp_path / "own.onnx")
    expected = (patches(4, 32).double() / 255).mean((1, 2)).float()
    assert torch.allclose(encoder.encode(patches(4, 32)), expected, atol=1e-5)


def test_own_models_that_cannot_run_are_told(tmp_path):
    with pytest.raises(InputError, match=r"needs your model file: --weights FILE"):
        load_encoder("torchscript")
    with pytest.raises(InputError, match=r"absent.onnx does not exist"):
        load_encoder("onnx", weights=tmp_path / "absent.onnx")


def test_an_onnx_file_that_is_none_is_told(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match=r"text.onnx is not a readable ONNX model"):
        load_encoder("onnx", weights=tmp_path / "text.onnx")


def test_an_onnx_file_that_cannot_run_is_told(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["images", "shape"], ["features"])],
        "wrong_shape",
        [helper.make_tensor_value_info("images", kind, ["b", 3, 32, 32])],
        [helper.make_tensor_value_info("features", kind, None)],
        [helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [7, 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "own.onnx")
    described = describe_encoder("onnx", input_px=32)
    with pytest.raises(InputError, match=r"own.onnx: the model does not run on images \[\d, 3, 32"):
        load_encoder(described, weights=tmp_path / "own.onnx")


def test_a_network_that_returns_maps_is_refused(tmp_path):
    torch.jit.script(torch.nn.Conv2d(3, 4, 3)).save(tmp_path / "map.pt")
    described = describe_encoder("torchscript", input_px=32)
    with pytest.raises(InputError, match=r"an encoder returns one vector a patch"):
        load_encoder(described, weights=tmp_path / "map.pt", allow_code=True)


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(InputError, match=r"device cuda:7: PyTorch sees no NVIDIA GPU here"):
        load_encoder("efficientnet-lite0", device="cuda:7")
    with pytest.raises(InputError, match=r"device 'toaster' is none of auto, cpu"):
        load_encoder("efficientnet-lite0", device="toaster")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_precision_that_the_processor_is_slow_in_is_told(tiny, tmp_path, precision, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file(build_network(tiny).state_dict(), path)
    ratios = {precision: 0.01}
    monkeypatch.setattr("histodistill.encoders.loading.times_as_fast", ratios.__getitem__)
    told = f"precision {precision}: this processor multiplies in it 100 times slower than in float"
    with pytest.warns(UserWarning, match=told):
        assert load_encoder(tiny, weights=path, precision=precision).precision == precision
    ratios[precision] = 2.0
    with warnings.catch_warnings(action="error"):
        load_encoder(tiny, weights=path, precision=precision)
        load_encoder(tiny, weights=path)


def test_lower_precision_stays_near(tiny):
    from histodistill.encoders.patch_encoder import PatchEncoder

    network = randomised(build_network(tiny))
    exact = PatchEncoder(tiny, network, "", torch.device("cpu"))
    low = PatchEncoder(tiny, network, "", torch.device("cpu"), "bfloat16")
    exact_features, low_features = exact.encode(patches()), low.encode(patches())
    assert not torch.equal(exact_features, low_features)
    assert torch.allclose(exact_features, low_features, atol=0.1)
