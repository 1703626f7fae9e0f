"""Runs that are killed, and runs that share a folder."""

import os
import signal
import subprocess
import sys

import pytest

from histodistill.extraction import extract_slides

# A run that tells what it does, and stops for ever at a chosen moment.
_SCRIPT = """
import sys, threading
from pathlib import Path
from histodistill.encoders import describe_encoder, load_encoder
from histodistill.extraction import ExtractionSettings, extract_slides, list_slides
from histodistill.extraction.output_folder import OutputFolder
from histodistill.tiling import TilingSettings

slides, weights, out, halt = sys.argv[1:]

def stop_at(moment):
    print(moment, flush=True)
    if moment == halt:
        threading.Event().wait()

class Told:
    def slide_started(self, slide_id, n_patches):
        print("started", slide_id, flush=True)
        self.slide_id = slide_id

    def patches_encoded(self, n_patches):
        stop_at(f"encoding {self.slide_id}")

    def slide_finished(self, record, *, earlier):
        pass

write_record = OutputFolder.write_record

def write(folder, record):
    stop_at(f"written {record.slide}")
    write_record(folder, record)

OutputFolder.write_record = write
described = describe_encoder("torchscript", input_px=64, mean=(0.5,) * 3, std=(0.5,) * 3)
encoder = load_encoder(described, weights=Path(weights), allow_code=True)
settings = ExtractionSettings.of(encoder, TilingSettings(mpp=1.0, patch_px=64))
print("ready", flush=True)
if halt == "wait":
    sys.stdin.readline()
extract_slides(list_slides(slides), encoder, Path(out), settings, batch_size=8, progress=Told())
"""


def start(tmp_path, weights, out, halt):
    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT]
    return subprocess.Popen(
        [*command, str(tmp_path / "slides"), str(weights), str(out), halt],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.h5"))}


def read_until(process, moment):
    for line in process.stdout:
        if line.strip() == moment:
            return
    raise AssertionError(f"the process ended before {moment!r}")


@pytest.mark.parametrize("moment", ["encoding slide1", "written slide1"])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(
    entries, encoder, settings, weights, tmp_path, moment
):
    slides = entries(3)
    extract_slides(slides, encoder, tmp_path / "whole", settings, batch_size=8)
    out = tmp_path / "killed"
    process = start(tmp_path, weights, out, moment)
    read_until(process, moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert any((out / ".claims").iterdir())
    if moment.startswith("encoding"):
        (out / ".slide1-abandoned.h5").write_bytes(b"half")
    summary = extract_slides(slides, encoder, out, settings, batch_size=8)
    assert [record.status for record in summary.records] == ["done"] * 3
    assert summary.resumed == (2 if moment.startswith("written") else 1)
    assert contents(out) == contents(tmp_path / "whole")
    assert list((out / ".claims").iterdir()) == []


def test_two_processes_share_a_folder_without_doing_a_slide_twice(
    entries, encoder, settings, weights, tmp_path
):
    slides, out = entries(8), tmp_path / "shared"
    extract_slides(slides, encoder, tmp_path / "alone", settings, batch_size=8)
    both = [start(tmp_path, weights, out, "wait") for _ in range(2)]
    for process in both:
        read_until(process, "ready")
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=600)[0] for process in both]
    lines = "".join(told).splitlines()
    started = [line.split()[1] for line in lines if line.startswith("started")]
    assert sorted(started) == [entry.slide_id for entry in slides]
    assert contents(out) == contents(tmp_path / "alone")
    rows = (out / "extraction.csv").read_text().splitlines()
    assert len(rows) == 1 + len(slides)
