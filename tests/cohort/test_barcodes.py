import pytest

from histodistill.cohort import patient_of, sample_type_of, site_of


@pytest.mark.parametrize(
    ("text", "patient", "sample"),
    [
        ("TCGA-A2-A0EO", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EO-01", "TCGA-A2-A0EO", "01"),
        ("tcga-a2-a0eo-11a-01r", "TCGA-A2-A0EO", "11"),
        ("TCGA.A2.A0EO.06A", "TCGA-A2-A0EO", "06"),
        ("run7_TCGA-A2-A0EO-01Z-00-DX1.6E9C-11.h5", "TCGA-A2-A0EO", "01"),
        ("TCGA-A2-A0EO_features", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EO-2048", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EOX", None, None),
        ("XTCGA-A2-A0EO", None, None),
        ("TCGA-A2", None, None),
        ("patient_12", None, None),
        ("", None, None),
    ],
)
def test_patient_and_sample_type(text, patient, sample):
    assert patient_of(text) == patient
    assert sample_type_of(text) == sample


def test_site_is_the_two_characters_of_the_tissue_source():
    assert site_of("TCGA-A2-A0EO") == "A2"
    assert site_of("tcga-bh-a0eo-01") == "BH"
    assert site_of("hospital-12") is None
