"""Tests of the simulated cohorts."""
