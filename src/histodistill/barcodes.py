"""TCGA barcodes: the patient, the tissue source site and the sample type in a name.

A barcode reads ``TCGA-<site>-<participant>-<sample type><vial>-<portion>...``; see
https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode and, for the sample types,
https://gdc.cancer.gov/resources-tcga-users/tcga-code-tables/sample-type-codes. Slides, tables and
genomic samples are all read here, so that a name is the same patient everywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

PRIMARY_TUMOUR = "01"
SAMPLE_TYPES = {
    PRIMARY_TUMOUR: "primary tumour",
    "02": "recurrent tumour",
    "03": "primary blood cancer",
    "05": "additional primary tumour",
    "06": "metastasis",
    "07": "additional metastasis",
    "10": "normal blood",
    "11": "normal tissue",
    "12": "normal buccal cells",
    "14": "normal bone marrow",
}

# R turns the hyphens of column names into points, and some exports turn them into underscores.
# A vial X is not known, and "20x" and "40x" in the names of slides are magnifications.
_BARCODE = re.compile(
    r"(?<![A-Z0-9])TCGA[-._](?P<site>[A-Z0-9]{2})[-._](?P<participant>[A-Z0-9]{4})"
    r"(?:[-._](?P<sample>\d{2})[A-WYZ]?(?![A-Z0-9])|(?![A-Z0-9]))",
    re.IGNORECASE,
)


class Barcode(NamedTuple):
    """The parts of a TCGA barcode that decide whose sample it is and of what kind.

    Attributes:
        patient: ``TCGA-XX-XXXX``, in capitals.
        site: The tissue source site, the two characters after ``TCGA-``, in capitals.
        sample_type: Two digits (see ``SAMPLE_TYPES``); None where the barcode names no sample.
    """

    patient: str
    site: str
    sample_type: str | None


def find_barcode(text: str) -> Barcode | None:
    """The first TCGA barcode, of any length, in a file name or identifier.

    The separator is a hyphen, a point or an underscore, and case does not matter.

    Args:
        text: For example ``tcga-a2-a0eo-01Z-00-DX1.svs`` or ``TCGA_A2_A0EO_01``.

    Returns:
        Its parts, or None where the text holds no barcode.
    """
    found = _BARCODE.search(text)
    if found is None:
        return None
    site = found["site"].upper()
    return Barcode(f"TCGA-{site}-{found['participant'].upper()}", site, found["sample"])


def patient_of(text: str) -> str | None:
    """The patient ``TCGA-XX-XXXX`` in a text, or None where it holds no barcode."""
    barcode = find_barcode(text)
    return barcode and barcode.patient


def site_of(text: str) -> str | None:
    """The tissue source site in a text, or None where it holds no barcode."""
    barcode = find_barcode(text)
    return barcode and barcode.site


def unwanted_sample_type(text: str, wanted: Collection[str]) -> str | None:
    """The sample type in a text where it is none of the wanted ones.

    Returns:
        Its two digits; None where the type is wanted, or the text names none.
    """
    barcode = find_barcode(text)
    kind = barcode and barcode.sample_type
    return None if kind in wanted else kind


def left_out_types(kinds: Iterable[str]) -> str:
    """How many of each sample type, for a message: ``06 (metastasis): 2, 11 (...): 1``."""
    counts = sorted(Counter(kinds).items())
    return ", ".join(f"{kind} ({SAMPLE_TYPES.get(kind, 'other')}): {n}" for kind, n in counts)
