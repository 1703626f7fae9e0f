"""How the weights of a network begin."""

from __future__ import annotations

import math

from torch import nn


def init_self_normalising(network: nn.Module) -> None:
    """Draw weights from N(0, 1 / fan_in) and set biases to 0, as the paper's student does.

    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, section 3.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
