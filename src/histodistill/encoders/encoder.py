"""What a patch encoder is: its network, its preprocessing, its licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Triple = tuple[float, float, float]
Precision = Literal["float32", "float16", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "float16", "bfloat16"]
Pooling = Literal["network", "class token and mean of patch tokens"]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Encoder:
    """A patch encoder as its authors document it; no weights are loaded yet.

    Attributes:
        name: The name users type.
        title: The name its authors use.
        width: Features a patch (0 where only loading the weights tells).
        network: What builds the network: ``timm`` model name, or a name known to
            :func:`histodistill.encoders.networks.build_network`.
        options: Arguments of the network's constructor. ``"SwiGLUPacked"`` and ``"SiLU"`` stand
            for those layers.
        input_px: Side of the square image that the network sees.
        resize_px: The image is resized to this side first, then its centre of ``input_px`` is
            cut out. None: resized to ``input_px``, nothing is cut.
        interpolation: Filter of that resizing.
        mean: Mean of each of R, G, B, with pixels in 0..1.
        std: Standard deviation of each of R, G, B, with pixels in 0..1.
        pooling: ``network``: the network returns one vector a patch (a vision transformer: its
            class token). Otherwise the class token and the mean of the patch tokens are joined.
        mpp: The µm per pixel its authors recommend.
        patch_px: The patch side, in pixels at ``mpp``, that its authors recommend.
        hub: Repository on the Hugging Face hub, empty where there is none.
        hub_files: Names of the weights file there; the first that exists is taken.
        gated: Whether its authors ask users to accept terms before downloading.
        licence: Licence of the weights.
        url: Where users get the weights and read the terms.
        reference: The publication.
    """

    name: str
    title: str
    width: int
    network: str
    options: Mapping[str, object] = field(default_factory=dict)
    input_px: int = 224
    resize_px: int | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    pooling: Pooling = "network"
    mpp: float = 0.5
    patch_px: int = 224
    hub: str = ""
    hub_files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    gated: bool = False
    licence: str = ""
    url: str = ""
    reference: str = ""
