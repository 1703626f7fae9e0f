"""Every encoder known by name: its size, its width, and how names are found."""

import pytest
import torch

from histodistill.encoders import ENCODERS, describe_encoder, find_encoder
from histodistill.encoders.networks import build_network
from histodistill.errors import InputError

# Millions of parameters, from the publications and model cards.
PUBLISHED_MILLIONS = {
    "efficientnet-lite0": 4.65,
    "uni": 303,
    "uni2-h": 681,
    "conch-v1.5": 307,
    "virchow": 631,
    "virchow2": 631,
    "gigapath": 1135,
    "h-optimus-0": 1135,
    "h-optimus-1": 1135,
    "phikon": 86,
    "phikon-v2": 303,
    "ctranspath": 27.5,
    "hibou-b": 86,
    "hibou-l": 304,
}


@pytest.mark.parametrize("name", ENCODERS)
def test_each_network_has_the_published_size_and_width(name):
    encoder = ENCODERS[name]
    pytest.importorskip("timm")
    with torch.device("meta"):
        network = build_network(encoder)
        output = network(torch.zeros(1, 3, encoder.input_px, encoder.input_px))
    millions = sum(each.numel() for each in network.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED_MILLIONS[name], rel=0.01)
    joined = 1 if encoder.pooling == "network" else 2
    assert output.shape[-1] * joined == encoder.width
    assert output.ndim == (2 if encoder.pooling == "network" else 3)


@pytest.mark.parametrize(("typed", "meant"), [("UNI", "uni"), ("H_optimus 0", "h-optimus-0")])
def test_names_are_found_however_they_are_typed(typed, meant):
    assert find_encoder(typed).name == meant


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"called .virchow3.\. Did you mean virchow or virchow2\?"):
        find_encoder("virchow3")


def test_preprocessing_can_be_given():
    encoder = describe_encoder("onnx", input_px=96, mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    assert (encoder.input_px, encoder.mean, encoder.std) == (96, (0.1, 0.2, 0.3), (1, 1, 1))


def test_the_offline_encoder_says_that_it_is_no_pathology_model():
    assert "not a pathology model" in ENCODERS["efficientnet-lite0"].title
