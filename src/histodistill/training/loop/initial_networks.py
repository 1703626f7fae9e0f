"""Networks before their first epoch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from histodistill.experiment.methods import MethodSettings
from histodistill.model import Networks
from histodistill.model.unwritten import unwritten
from histodistill.training.loop.seeds import derived_seed


def build_networks(
    method: MethodSettings,
    feature_width: int | None,
    blocks: Mapping[str, int],
    n_classes: int | tuple[int, ...],
    seed: int,
) -> Networks:
    """Networks with the initial weights that belong to a seed.

    The seed of a network does not depend on which others are trained with it, so that the
    student of every method starts from the same weights.
    """
    settings = method.network
    networks = {}
    for name in settings.networks:
        torch.manual_seed(derived_seed(seed, "weights", name))
        alone = settings.model_copy(update={"networks": (name,)})
        networks[name] = Networks(feature_width, blocks, n_classes, alone)
    if len(networks) == 1:
        return networks[settings.networks[0]]
    with unwritten():  # without weights: each network brings its own
        together = Networks(feature_width, blocks, n_classes, settings)
    for name, network in networks.items():
        setattr(together, name, network.get_submodule(name))
    return together
