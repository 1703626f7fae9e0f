"""Simulated paired cohorts with a known truth, for the demonstration and for tests.

Everything here is generated from a seed and called simulated in every file that it writes:
patient identifiers, file names, a column of the tables, the README.

With the default settings slides are hard to learn from the labels alone: few patients have a
label, and the shared latent hides in a minority of noisy patches. Genes show it almost without
error. So a genomic teacher helps a slide student, all the more where patients without a label
take part in the distillation; with `shared_signal=0` it cannot.
"""

from histodistill.simulation.cohort import SimulatedCohort, simulate_cohort
from histodistill.simulation.morphology import Morphology, morphology_of
from histodistill.simulation.settings import Confounder, SimulationSettings, read_settings
from histodistill.simulation.slides import simulate_slide, simulate_slides
from histodistill.simulation.truth import BestAucs, best_aucs, draw_truth

__all__ = [
    "BestAucs",
    "Confounder",
    "Morphology",
    "SimulatedCohort",
    "SimulationSettings",
    "best_aucs",
    "draw_truth",
    "morphology_of",
    "read_settings",
    "simulate_cohort",
    "simulate_slide",
    "simulate_slides",
]
