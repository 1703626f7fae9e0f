"""A trained model, with all that it needs to answer for a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from histodistill.model import NetworkName, Networks
from histodistill.preparation import Transforms


@dataclass(frozen=True)
class Member:
    """One trained model of a bundle: a final model, or one fold of an ensemble.

    Attributes:
        networks: Trained networks.
        transforms: What was fitted on their training patients.
        thresholds: Operating threshold of each network for the positive class, chosen on
            validation patients; empty where none was chosen.
    """

    networks: Networks
    transforms: Transforms
    thresholds: Mapping[NetworkName, float]
