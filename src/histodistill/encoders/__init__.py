"""Patch encoders: pathology foundation models and others, by name, with their own preprocessing.

An :class:`Encoder` describes one as its authors do; :func:`load_encoder` gives it weights from a
local file, an installed package or the Hugging Face hub; the :class:`PatchEncoder` that comes back
turns patches into features.
"""

from histodistill.encoders.catalogue import ENCODERS, OFFLINE_ENCODER, OWN_MODELS, find_encoder
from histodistill.encoders.encoder import Encoder
from histodistill.encoders.loading import (
    describe_encoder,
    find_weights,
    load_encoder,
    resolve_precision,
)
from histodistill.encoders.patch_encoder import PatchEncoder, Precision, PrecisionChoice

__all__ = [
    "ENCODERS",
    "OFFLINE_ENCODER",
    "OWN_MODELS",
    "Encoder",
    "PatchEncoder",
    "Precision",
    "PrecisionChoice",
    "describe_encoder",
    "find_encoder",
    "find_weights",
    "load_encoder",
    "resolve_precision",
]
