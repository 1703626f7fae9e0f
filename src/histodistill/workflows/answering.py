"""How a bundle is asked by commands that explain its answers: as `histodistill predict` asks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the viewer's server takes these settings, and needs no PyTorch
    from histodistill.deploy import Bundle
    from histodistill.model import NetworkName


@dataclass(frozen=True)
class Answering:
    """Options of :func:`histodistill.predict`.

    Attributes:
        max_missing_genes: Share of a block's genes that may be absent, and are imputed.
        check_scale: Whether genes on another scale than the training patients' are refused.
        threshold: Operating threshold of all networks instead of the bundle's own.
        site: The hospital of all patients.
        device: Where `predict` computes; maps are computed on the CPU.
    """

    max_missing_genes: float = 0.2
    check_scale: bool = True
    threshold: float | None = None
    site: str | None = None
    device: str = "auto"

    def options(self, networks: Iterable[NetworkName]) -> dict[str, Any]:
        """Arguments of :func:`histodistill.predict`, for a bundle of some networks."""
        given = self.threshold
        return {
            "max_missing_genes": self.max_missing_genes,
            "check_scale": self.check_scale,
            "thresholds": None if given is None else dict.fromkeys(networks, given),
            "site": self.site,
            "device": self.device,
        }

    def thresholds(self, bundle: Bundle) -> Mapping[NetworkName, float | None]:
        """The threshold of each network, as it is called by; None where a bundle stores none."""
        own = {name: bundle.threshold(name, self.site) for name in bundle.networks}
        return own if self.threshold is None else dict.fromkeys(own, self.threshold)
