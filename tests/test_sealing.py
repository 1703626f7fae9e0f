from __future__ import annotations

import stat
from pathlib import Path

import pytest

from histodistill import sealing
from histodistill.errors import InputError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    sealing.begin(tmp_path)
    return tmp_path


def written(run: Path) -> Path:
    sealed = run / sealing.SEALED
    sealing.write_sealed(run, sealed, lambda path: path.write_text("PATIENT,student\nP1,0.9\n"))
    return sealed


def test_nothing_of_the_answers_can_be_read_until_they_are_opened(run: Path):
    sealed = written(run)
    content = sealed.read_bytes()
    assert b"P1" not in content
    assert b"student" not in content
    assert {path.name for path in run.iterdir()} == {sealing.SEALED, sealing.KEY}
    sealing.open_file(run, sealed, run / "plain.csv")
    assert (run / "plain.csv").read_text() == "PATIENT,student\nP1,0.9\n"


def test_a_key_is_made_once_and_is_its_owners_alone(run: Path):
    before = (run / sealing.KEY).read_bytes()
    assert stat.S_IMODE((run / sealing.KEY).stat().st_mode) == 0o600
    sealing.begin(run)
    assert (run / sealing.KEY).read_bytes() == before


def test_damaged_answers_and_another_key_are_told(run: Path, tmp_path: Path):
    sealed = written(run)
    content = bytearray(sealed.read_bytes())
    content[40] ^= 1
    sealed.write_bytes(content)
    with pytest.raises(InputError, match="damaged, or was sealed with another key"):
        sealing.open_file(run, sealed, run / "plain.csv")
    assert not (run / "plain.csv").exists()
    (run / sealing.KEY).write_bytes(b"no key")
    with pytest.raises(InputError, match="missing or damaged"):
        sealing.open_file(run, sealed, run / "plain.csv")


def test_an_opening_is_on_record_and_ends_the_seal(run: Path):
    assert sealing.is_sealed(run)
    assert sealing.opening_of(run) is None
    sealing.write_contents(run, {"abmil": ["fits/ER/abmil"]})
    configuration = run / "experiment.json"
    configuration.write_text("{}")
    made = sealing.record_opening(run, configuration)
    assert not sealing.is_sealed(run)
    assert sealing.opening_of(run) == made
    assert made.methods == ("abmil",)
    assert made.time.endswith("+00:00")


def test_an_interrupted_opening_is_told(run: Path):
    place = run / "fits"
    place.mkdir()
    sealing.write_sealed(run, place / sealing.SEALED, lambda path: path.write_text("PATIENT\n"))
    sealing.write_contents(run, {"abmil": ["fits"]})
    (run / "experiment.json").write_text("{}")
    assert "are sealed until" in sealing.unread_sentence(run)
    sealing.record_opening(run, run / "experiment.json")
    assert "was interrupted; run histodistill unseal" in sealing.unread_sentence(run)
    (place / sealing.SEALED).unlink()
    assert not sealing.unread_sentence(run)


def test_a_key_is_private_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(stat.S_IMODE(self.stat().st_mode))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    sealing.begin(tmp_path)
    assert seen == [0o600]
