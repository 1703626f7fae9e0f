"""A trained model as a folder, and its predictions for new patients."""

from histodistill.deploy.bundle import Bundle
from histodistill.deploy.convert import convert_checkpoints
from histodistill.deploy.info import BundleInfo, FeatureOrigin
from histodistill.deploy.panel import Panel
from histodistill.deploy.predict import Predictions, predict

__all__ = [
    "Bundle",
    "BundleInfo",
    "FeatureOrigin",
    "Panel",
    "Predictions",
    "convert_checkpoints",
    "predict",
]
