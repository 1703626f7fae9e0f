"""Faults of the machine become sentences, and bugs do not."""

from __future__ import annotations

import errno
import re

import pytest
import torch

from histodistill.faults import error_number, machine_fault


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left", "/a/b"), "/a/b: the disk is full"),
        (PermissionError(errno.EACCES, "denied", "/a/b"), "/a/b: permission is denied"),
        (OSError(errno.EROFS, "read-only", "/a/b"), "/a/b: the file system is read-only"),
        (OSError(errno.ELOOP, "loop", "/a/b"), "/a/b: its symbolic links lead round in a circle"),
        (RuntimeError("Symlink loop from '/a/b'"), "/a/b: its symbolic links lead round"),
        (OSError(12345, "odd", "/a/b"), "/a/b: odd"),
        (OSError("Can't write (errno = 28, error message = 'x')"), "the disk is full"),
        (RuntimeError("SafetensorError: I/O error (os error 28)"), "the disk is full"),
        (MemoryError("Unable to allocate 8 GiB"), "memory ran out; .*Unable to allocate 8 GiB"),
        (ImportError("x.so: failed to map segment from shared object"), "memory ran out; .*x.so"),
        (
            UnicodeEncodeError("utf-8", "M\udcfcller", 1, 2, "surrogates not allowed"),
            r"'M\\udcfcller': this name is no UTF-8 text",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out; .*CUDA out of memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory. Error code 12 (x)"),
            "memory ran out; .*smaller batch_size",
        ),
    ],
    ids=str,
)
def test_a_fault_of_the_machine_is_a_sentence(error, expected):
    fault = machine_fault(error)
    assert fault is not None
    assert "\n" not in fault
    assert re.match(expected, fault), fault


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        RuntimeError("shape mismatch"),
        OSError("no number"),
        ImportError("x"),
    ],
    ids=repr,
)
def test_a_bug_stays_a_bug(error):
    assert machine_fault(error) is None
    assert error_number(error) is None
