"""Files are whole or absent, and what killed processes left is swept."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import h5py
import pytest
from safetensors import SafetensorError

from histodistill import files
from histodistill.errors import InputError
from histodistill.files import whole_file, whole_folder, write_text
from histodistill.hdf5_files import whole_h5


@pytest.fixture(autouse=True)
def _as_a_new_process() -> None:
    files._sweep.cache_clear()


def killed_while(write) -> None:
    """Let a child process die in the middle of writing."""
    child = os.fork()
    if child == 0:
        try:
            write()
        finally:
            os._exit(1)  # never reached: the kill comes first
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_the_next_process_sweeps_what_a_killed_one_left(tmp_path):
    def write() -> None:
        with whole_file(tmp_path / "figure.svg") as temporary:
            temporary.write_text("a part")
            os.kill(os.getpid(), signal.SIGKILL)

    def fill() -> None:
        with whole_folder(tmp_path / "bundle") as draft:
            (draft / "weights").write_text("a part")
            os.kill(os.getpid(), signal.SIGKILL)

    mine = tmp_path / ".notes-of-mine-12-abcdefgh.txt"
    mine.touch()
    for partial in (write, fill):
        killed_while(partial)
        assert len(list(tmp_path.iterdir())) == 2
        files._sweep.cache_clear()
        write_text(tmp_path / "table.csv", "a")
        assert {path.name for path in tmp_path.iterdir()} == {"table.csv", mine.name}
        (tmp_path / "table.csv").unlink()
        files._sweep.cache_clear()


def test_temporaries_of_living_processes_and_other_machines_stay(tmp_path, monkeypatch):
    other = tmp_path / f".a-{'0' * 8}-1-abcdefgh.csv"
    other.touch()
    with whole_file(tmp_path / "a.csv") as temporary:
        files._sweep.cache_clear()
        write_text(tmp_path / "b.csv", "b")
        assert temporary.exists()
        assert other.exists()
    os.utime(other, (0, 0))
    files._sweep.cache_clear()
    write_text(tmp_path / "c.csv", "c")
    assert not other.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (file write failed: errno = 28, error message = 'x')"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
    ids=repr,
)
def test_a_full_disk_names_the_file_whoever_wrote_it(tmp_path, error):
    for whole in (whole_file, whole_folder):
        with pytest.raises(OSError, match="No space left") as raised, whole(tmp_path / "a.h5"):
            raise error
        assert raised.value.errno == errno.ENOSPC
        assert raised.value.filename == str(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_other_files_and_bugs_stay_as_they_are(tmp_path):
    of_another = FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/input.csv")
    for error in (of_another, ValueError("a bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, whole_file(tmp_path / "a.csv"):
            raise error
        assert raised.value is error


def test_a_folder_appears_whole_and_readable(tmp_path):
    with whole_folder(tmp_path / "made" / "folder") as draft:
        (draft / "file").write_text("content")
        assert not (tmp_path / "made" / "folder").exists()
    assert (tmp_path / "made" / "folder" / "file").read_text() == "content"
    assert (tmp_path / "made" / "folder").stat().st_mode & 0o777 == 0o755
    assert Path(tmp_path / "made" / "folder").is_dir()


def test_an_hdf5_file_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with whole_h5(path) as file:
        file["features"] = [[1.0, 2.0]]
        assert list(tmp_path.iterdir()) == []
    with h5py.File(path) as file:
        assert file["features"][:].tolist() == [[1.0, 2.0]]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as raised, whole_h5(path) as file:
        file["features"] = [[3.0]]
    assert raised.value.filename == str(path)
    with h5py.File(path) as file:
        assert file["features"][:].tolist() == [[1.0, 2.0]]


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe: is a device or a pipe, not a file"):
        write_text(pipe, "text")
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
