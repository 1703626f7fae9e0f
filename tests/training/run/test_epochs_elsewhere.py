"""What fits on other machines have reached is read in their curves."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from histodistill.files import write_text
from histodistill.training import Epoch, Fit
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.attempts import claim_names, claims_of_folder
from histodistill.training.run.epochs_elsewhere import Elsewhere, epochs_elsewhere
from tests.training.run.test_worker_epochs import FITS, epoch


def write_curves(folder: Path, n_epochs: int) -> None:
    lines = [json.dumps(epoch(number).record()) + "\n" for number in range(n_epochs)]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CURVES, "".join(lines))


def test_the_last_epoch_of_each_claimed_fit_is_told_once(tmp_path: Path) -> None:
    running = FITS[0]
    for fit in FITS:
        write_curves(fit.folder(tmp_path), 2)
    with claims_of_folder(tmp_path) as claims:
        assert claims.take(claim_names((str(running),))[0])
        assert claims.take("something else")
        seen = Elsewhere(FITS, tmp_path)
        assert list(seen.news()) == [(running, epoch(1))]
        assert list(seen.news()) == []
        write_curves(running.folder(tmp_path), 5)
        assert list(seen.news()) == [(running, epoch(4))]
        # Of an ensemble, the member that trains now.
        write_curves(running.folder(tmp_path) / "member-1", 1)
        assert list(seen.news()) == [(running, epoch(0))]
    assert list(seen.news()) == []


def test_a_thread_tells_while_the_block_runs_and_nothing_stops_it(tmp_path: Path) -> None:
    told: list[tuple[Fit, Epoch]] = []
    heard = threading.Event()

    def on_epoch(fit: Fit, reached: Epoch) -> None:
        told.append((fit, reached))
        heard.set()

    damaged = FITS[0].folder(tmp_path) / CURVES
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    write_curves(FITS[1].folder(tmp_path), 3)
    with (
        epochs_elsewhere(FITS, tmp_path, on_epoch, interval=0.01),  # no folder of claims yet
        claims_of_folder(tmp_path) as claims,
    ):
        for fit in FITS:
            assert claims.take(claim_names((str(fit),))[0])
        assert heard.wait(60)
    assert told == [(FITS[1], epoch(2))]
