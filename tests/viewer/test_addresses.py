"""Addresses bring back the names that they were made of."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from histodistill.viewer.addresses import PATIENT, patient_address


@pytest.mark.parametrize("patient", ["TCGA-A2-A0D0", "H12/345", "..", "Ä & b?slide=x#y", "a+b %2F"])
def test_any_name_comes_back(patient: str) -> None:
    for slide in (None, "slide 1"):
        found = urlsplit(patient_address(patient, slide))
        assert found.path == PATIENT
        wanted = {"id": patient} | ({} if slide is None else {"slide": slide})
        assert dict(parse_qsl(found.query)) == wanted
