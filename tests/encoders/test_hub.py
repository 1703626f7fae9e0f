"""What users read when the hub refuses, is out of reach, or has no such weights."""

from types import SimpleNamespace

import pytest

from histodistill.encoders import ENCODERS
from histodistill.encoders.hub import download_weights
from histodistill.errors import InputError

hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def hub_answers(monkeypatch, answers):
    """The hub answers each file name with a path or an error."""
    asked = []

    def download(repository, name, revision=None):
        asked.append((repository, name, revision))
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(hub, "hf_hub_download", download)
    return asked


def refusal(kind, status):
    error = kind.__new__(kind)
    Exception.__init__(error, "refused")
    error.response = SimpleNamespace(status_code=status)
    return error


def test_the_first_file_name_that_exists_is_taken(monkeypatch, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"weights")
    absent = refusal(errors.EntryNotFoundError, 404)
    asked = hub_answers(
        monkeypatch, {"model.safetensors": absent, "pytorch_model.bin": str(tmp_path / "w.bin")}
    )
    assert download_weights(ENCODERS["phikon"]).name == "w.bin"
    assert asked[0] == ("owkin/phikon", "model.safetensors", None)


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_encoder_says_how_to_get_access(monkeypatch, status):
    gated = refusal(errors.GatedRepoError, status)
    hub_answers(monkeypatch, {"pytorch_model.bin": gated})
    with pytest.raises(
        InputError, match=r"UNI is gated: accept its terms at .*HF_TOKEN.*--weights"
    ):
        download_weights(ENCODERS["uni"])


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no network"),
        refusal(errors.HfHubHTTPError, 500),
        refusal(errors.LocalEntryNotFoundError, None),
    ],
)
def test_without_network_the_user_is_told_which_file_to_bring(monkeypatch, error):
    hub_answers(monkeypatch, {"pytorch_model.bin": error})
    with pytest.raises(InputError, match=r"could not be downloaded.*Download pytorch_model.bin"):
        download_weights(ENCODERS["uni"])


def test_an_encoder_that_is_on_no_hub_says_where_it_is():
    with pytest.raises(InputError, match=r"CTransPath are not on a hub.*github.com.*--weights"):
        download_weights(ENCODERS["ctranspath"])


def test_weights_are_pinned_when_they_are_first_downloaded(monkeypatch, tmp_path):
    file = tmp_path / "snapshots" / "commit1" / "pytorch_model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    asked = hub_answers(monkeypatch, {"pytorch_model.bin": str(file)})
    assert download_weights(ENCODERS["uni"]) == download_weights(ENCODERS["uni"]) == file
    assert [revision for _, _, revision in asked] == [None, "commit1"]
    file.write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"not the weights of UNI that were first downloaded"):
        download_weights(ENCODERS["uni"])
