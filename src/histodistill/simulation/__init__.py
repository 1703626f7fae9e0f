"""Simulated paired cohorts with a known truth, for the demonstration and for tests.

Everything here is generated from a seed and called simulated in every file that it writes:
patient identifiers, file names, a column of the tables, the README.
"""

from histodistill.simulation.cohort import SimulatedCohort, simulate_cohort
from histodistill.simulation.settings import SimulationSettings

__all__ = ["SimulatedCohort", "SimulationSettings", "simulate_cohort"]
