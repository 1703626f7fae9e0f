"""Addresses of pages: they hold names, so that they lead to the same patient after a restart."""

from __future__ import annotations

from urllib.parse import urlencode

PATIENTS = "/"
PATIENT = "/patient"


def patient_address(patient: str, slide: str | None = None) -> str:
    """The page of a patient.

    Args:
        patient: Their name, in any characters.
        slide: Name of one of their slides; None shows the first.
    """
    named = {"id": patient} if slide is None else {"id": patient, "slide": slide}
    return f"{PATIENT}?{urlencode(named)}"
