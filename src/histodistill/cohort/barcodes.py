"""TCGA barcodes: the patient, the sample type and the tissue source site in a name.

A barcode reads ``TCGA-<site>-<participant>-<sample type><vial>-...``; see
https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode.
"""

from __future__ import annotations

import re

# R turns the hyphens of column names into points, and some exports turn them into underscores.
_BARCODE = re.compile(
    r"(?<![A-Z0-9])TCGA[-._](?P<site>[A-Z0-9]{2})[-._](?P<participant>[A-Z0-9]{4})"
    r"(?:[-._](?P<sample>\d{2})(?!\d)|(?![A-Z0-9]))",
    re.IGNORECASE,
)


def patient_of(text: str) -> str | None:
    """The patient in a file name or sample identifier.

    Args:
        text: For example ``tcga-a2-a0eo-01Z-00-DX1.svs``.

    Returns:
        ``TCGA-XX-XXXX`` in capitals, or None where the text holds no TCGA barcode.
    """
    found = _BARCODE.search(text)
    return f"TCGA-{found['site']}-{found['participant']}".upper() if found else None


def sample_type_of(text: str) -> str | None:
    """The two digits of the sample type: ``01`` primary tumour, ``06`` metastasis, ``11`` normal.

    Returns:
        The digits, or None where the text holds no barcode or the barcode names no sample.
    """
    found = _BARCODE.search(text)
    return found["sample"] if found else None


def site_of(patient: str) -> str | None:
    """The tissue source site (the two characters after ``TCGA-``), or None without a barcode."""
    found = _BARCODE.search(patient)
    return found["site"].upper() if found else None
