import pytest

from histodistill.barcodes import (
    find_barcode,
    left_out_types,
    patient_of,
    site_of,
    unwanted_sample_type,
)


@pytest.mark.parametrize(
    ("text", "patient", "sample"),
    [
        ("TCGA-A2-A0EO", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EO-01", "TCGA-A2-A0EO", "01"),
        ("tcga-a2-a0eo-11a-01r", "TCGA-A2-A0EO", "11"),
        ("TCGA.A2.A0EO.06A", "TCGA-A2-A0EO", "06"),
        ("TCGA_A2_A0EO_01", "TCGA-A2-A0EO", "01"),
        ("TCGA_A2_A0EP_11", "TCGA-A2-A0EP", "11"),
        ("TCGA-A2.A0EO_01A_htseq.counts", "TCGA-A2-A0EO", "01"),
        ("TCGA-A1-A0SB-06A-11R-A144-07", "TCGA-A1-A0SB", "06"),
        ("run7_TCGA-A2-A0EO-01Z-00-DX1.6E9C-11.h5", "TCGA-A2-A0EO", "01"),
        ("TCGA-A2-A0EO_features", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EO-2048", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EO_20x_256px", "TCGA-A2-A0EO", None),
        ("TCGA-A2-A0EOX", None, None),
        ("XTCGA-A2-A0EO", None, None),
        ("TCGA-A2", None, None),
        ("patient_12", None, None),
        ("", None, None),
    ],
)
def test_patient_and_sample_type(text, patient, sample):
    barcode = find_barcode(text)
    assert (barcode and barcode.patient) == patient == patient_of(text)
    assert (barcode and barcode.sample_type) == sample


def test_site_is_the_two_characters_of_the_tissue_source():
    assert site_of("TCGA-A2-A0EO") == "A2"
    assert site_of("tcga_bh_a0eo_01") == "BH"
    assert site_of("hospital-12") is None


def test_only_named_sample_types_can_be_unwanted():
    assert unwanted_sample_type("TCGA-A2-A0EO-11A-01-TSA", ("01",)) == "11"
    assert unwanted_sample_type("TCGA-A2-A0EO-06Z-00-DX1", ("01", "06")) is None
    assert unwanted_sample_type("TCGA-A2-A0EO", ("01",)) is None
    assert unwanted_sample_type("slide-11", ("01",)) is None


def test_sample_types_are_counted_and_named():
    assert left_out_types(["11", "06", "11", "42"]) == (
        "06 (metastasis): 1, 11 (normal tissue): 2, 42 (other): 1"
    )
