"""Biomarkers from H&E slides, distilled from genomics."""

