"""SIGTERM and SIGHUP end a run like Ctrl-C; faults of the machine end it with a sentence."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from histodistill.cli import signals
from tests.cli.command_line import fail, run


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_is_an_interrupt_with_its_status(number, status):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signals.interrupt_on_signals()
        with pytest.raises(KeyboardInterrupt) as raised:
            os.kill(os.getpid(), number)
        assert signals.exit_status(raised.value) == status
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals.interrupt_on_signals()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_disk_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    (problem,) = fail("simulate", tmp_path / "cohort")
    assert problem.startswith(f"{tmp_path}/cohort/features/")


def test_a_bug_still_shows(tmp_path, monkeypatch):
    def wrong(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("tempfile.mkstemp", wrong)
    result = run("simulate", tmp_path / "cohort")
    assert isinstance(result.exception, RuntimeError)
