"""What a slide shows: the morphology that carries a patient's latent variables.

With e ~ N(0, 1) of each slide, a grade g = -z_s + morphology_noise · e drives what pathologists
grade: in poorly differentiated tumours (high g, ER-negative) nuclei are larger, more varied and
clear inside with nucleoli, tubules are few and lymphocytes many.
The distractor z_d drives the share of epithelium and the strength of both stains. A confounder is a
pen mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from histodistill.simulation.settings import SimulationSettings
from histodistill.simulation.truth import SimulatedSlide, Stream, generator


@dataclass(frozen=True)
class Morphology:
    """Morphology of the tissue on one slide.

    Attributes:
        nuclear_radius_um: Median radius of epithelial nuclei, µm.
        pleomorphism: Standard deviation of the logarithm of that radius.
        irregularity: Unevenness of the nuclear outline, relative to the radius.
        vesicularity: 0 for evenly dark nuclei, 1 for clear ones with a nucleolus.
        nuclear_spacing_um: Distance between epithelial nuclei, µm.
        epithelium_share: Share of the tissue that is epithelium.
        tubule_share: Share of the epithelium's area that is lumen.
        lymphocyte_share: Share of the stroma that lymphocytes infiltrate.
        haematoxylin: Strength of the haematoxylin stain, 1 on average.
        eosin: Strength of the eosin stain, 1 on average.
        pen: Whether somebody marked the slide with a pen.
    """

    nuclear_radius_um: float = 3.4
    pleomorphism: float = 0.16
    irregularity: float = 0.05
    vesicularity: float = 0.4
    nuclear_spacing_um: float = 9.5
    epithelium_share: float = 0.5
    tubule_share: float = 0.12
    lymphocyte_share: float = 0.15
    haematoxylin: float = 1.0
    eosin: float = 1.0
    pen: bool = False


def morphology_of(slide: SimulatedSlide, settings: SimulationSettings) -> Morphology:
    """The morphology that a slide's latent variables lead to."""
    rng = generator(settings, Stream.MORPHOLOGY, *slide.key)
    noise = rng.standard_normal(3)
    grade = float(np.clip(settings.morphology_noise * noise[0] - slide.shared, -2.5, 2.5))
    distractor = float(np.clip(slide.distractor, -2.5, 2.5))
    return Morphology(
        nuclear_radius_um=float(3.4 * np.exp(0.12 * grade)),
        pleomorphism=float(0.16 * np.exp(0.3 * grade)),
        irregularity=float(0.05 * np.exp(0.4 * grade)),
        vesicularity=float(expit(-0.4 + 0.9 * grade)),
        nuclear_spacing_um=float(9.5 * np.exp(0.06 * grade)),
        epithelium_share=float(expit(0.5 * distractor)),
        tubule_share=float(expit(-2.2 - 0.7 * grade)),
        lymphocyte_share=float(expit(-2.0 + 0.7 * grade)),
        haematoxylin=float(np.exp(0.10 * distractor + 0.06 * noise[1])),
        eosin=float(np.exp(0.15 * distractor + 0.06 * noise[2])),
        pen=bool(rng.random() < settings.share_with_pen) or slide.confounded,
    )
