"""The model card: what a person must know before using a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from histodistill.deploy.info import BundleInfo

_CARD = """\
# {target}: {recipe}

**Research use only. Not a medical device; not for diagnosis or treatment decisions.**

- Predicts: {target}, classes {classes}{positive}
- Patch features: {features}
- Genomic blocks: {blocks}
- Networks: {networks}
- Members averaged: {members}
- Operating thresholds, chosen on validation patients: {thresholds}

A prediction from slides alone is as good as the slides resemble the training ones:
same stain and scanner family, same patch encoder, same tiling. Measure it on your own
patients before you rely on it.

## Provenance

```json
{provenance}
```
"""


def model_card(info: BundleInfo, members: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown model card.

    Args:
        info: What the bundle says of itself.
        members: For each member, its ``architecture`` and ``thresholds``.
    """
    features = info.features
    thresholds = [
        ", ".join(f"{name} {value:.3f}" for name, value in member["thresholds"].items())
        for member in members
    ]
    return _CARD.format(
        target=info.target,
        recipe=info.recipe,
        classes=", ".join(info.classes),
        positive=f"; the positive class is {info.positive}" if info.positive else "",
        features=f"{features.encoder or 'encoder not recorded'}, {features.width} wide"
        if features
        else "none",
        blocks=", ".join(info.blocks) or "none",
        networks=", ".join(members[0]["architecture"]["settings"]["networks"]),
        members=len(members),
        thresholds="; ".join(thresholds).strip("; ") or "none",
        provenance=json.dumps(info.provenance, indent=2),
    )
