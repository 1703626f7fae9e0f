"""What the gate lets through, and what it refuses in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from histodistill.errors import InputError
from histodistill.gate.archives import (
    require_plausible_parquet,
    require_plausible_zip,
    unzipped_content,
)
from histodistill.gate.hdf5 import contents, dataset, opened_h5
from histodistill.gate.plain import MB, content, require_regular
from histodistill.gate.stand_ins import require_fetched
from histodistill.gate.tensors import read_pytorch, read_safetensors, require_stored
from histodistill.gate.text import read_json, read_yaml


def test_a_regular_file_is_read_and_a_larger_one_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert content(path, most=5) == b"12345"
    with pytest.raises(InputError, match="file: holds 0 MB, and such a file has at most 0 MB"):
        content(path, most=4)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert content(link, most=5) == b"12345"


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "a named pipe"), (Path("/dev/zero"), "a device")):
        for check in (require_regular, lambda p: content(p, most=MB), read_json, read_yaml):
            with pytest.raises(InputError, match=f"{path}: is {kind}; give a regular file"):
                check(path)
    with pytest.raises(IsADirectoryError):
        require_regular(tmp_path)
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(OSError, match="symbolic links"):
        content(circle, most=MB)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s5--9d5e.csv\n", "git annex get"),
        (b"<!DOCTYPE html>\n<html>", "is a web page"),
        (b"\xef\xbb\xbf\r\n <HTML lang='en'>", "is a web page"),
    ],
)
def test_what_stands_for_a_file_is_no_file(head, told):
    with pytest.raises(InputError, match=told):
        require_fetched(Path("clinical.csv"), head)
    for other in (b"PATIENT,ER\n", b"version,ER\n1,positive\n", b"", b"\x89HDF\r\n"):
        require_fetched(Path("clinical.csv"), other)


def test_json_that_is_none_is_refused(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, 2.5, "x"]}')
    assert read_json(path) == {"a": [1, 2.5, "x"]}
    for text in ("[" * 100_000, '{"a":' * 100_000):
        path.write_text(text)
        with pytest.raises(InputError, match="nested too deeply"):
            read_json(path)
    for text in ('{"a": NaN}', "[-Infinity]", "{", "", "\0"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            read_json(path)
    path.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(UnicodeDecodeError):
        read_json(path)


def bomb(levels: int = 20) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


def test_yaml_is_read_and_its_bombs_are_refused(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\nd: [1, 2.5, no, null]\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": [1, 2.5, False, None]}
    path.write_text("")
    assert read_yaml(path) is None
    for text, expected in (
        (bomb(), "its aliases"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("a: &a [*a]", "nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=expected):
            read_yaml(path)
    path.write_text("!!python/object/apply:os.system [id]")
    with pytest.raises(yaml.YAMLError):
        read_yaml(path)


def test_gzip_unpacks_to_a_plausible_size(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 1000))
    assert unzipped_content(path, most=MB) == b"a,b\n" * 1000
    path.write_bytes(gzip.compress(bytes(8 * MB)) * 20)
    with pytest.raises(InputError, match="unpacks to more than such a file can hold"):
        unzipped_content(path, most=1024 * MB)
    with pytest.raises(InputError, match="unpacks to more"):
        unzipped_content(path, most=MB)


def test_zip_and_parquet_say_a_plausible_size(tmp_path):
    path = tmp_path / "file.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(MB))
    require_plausible_zip(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(str(number), bytes(32 * MB))
    with pytest.raises(InputError, match="unpacks to more"):
        require_plausible_zip(path)
    table = io.BytesIO()
    pd.DataFrame({"a": np.zeros(1000)}).to_parquet(table)
    require_plausible_parquet(path, table, cells=1000)
    with pytest.raises(InputError, match="says that it has 1,000 rows of 1 columns"):
        require_plausible_parquet(path, table, cells=999)


def test_a_dataset_lies_in_its_own_file(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["features"] = np.ones(3)
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "features", (3,))
    with h5py.File(path, "w") as h5:
        h5["own"] = np.ones(3)
        h5["group/inner"] = np.ones(3)
        h5["external"] = h5py.ExternalLink("other.h5", "features")
        h5["soft"] = h5py.SoftLink("/own")
        h5.create_dataset("stored", (4,), "f4", external=[("/etc/services", 0, 16)])
        h5.create_virtual_dataset("virtual", layout)
    with opened_h5(path) as h5:
        own = dataset(path, h5, "own")
        assert own is not None
        assert own[:].tolist() == [1, 1, 1]
        assert dataset(path, h5, "absent") is None
        assert dataset(path, h5, "group") is None
        for name in ("external", "soft", "stored", "virtual"):
            with pytest.raises(InputError, match=f"{name} is only a link to"):
                dataset(path, h5, name)
        assert "external (a link)" in contents(h5)


def test_a_dataset_is_not_larger_than_its_storage_can_hold(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as h5:
        h5.create_dataset("claims", (10**9, 8), "f4", chunks=(1000, 8))
        h5.create_dataset("chunk", (4, 8), "f4", chunks=(4, 8), maxshape=(None, 8))
        h5.create_dataset("wide", (10, 8), "f4", chunks=(10**8, 8), maxshape=(None, 8))
    with opened_h5(path) as h5:
        assert dataset(path, h5, "chunk") is not None
        for name in ("claims", "wide"):
            with pytest.raises(InputError, match=f"{name} says that it has the shape"):
                dataset(path, h5, name)


@pytest.mark.parametrize("how", [{}, {"libver": "latest"}, {"userblock_size": 512}])
def test_an_hdf5_file_is_as_long_as_it_says(tmp_path, how):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", **how) as h5:
        h5["features"] = np.ones((50, 8))
    with opened_h5(path) as h5:
        assert h5["features"].shape == (50, 8)
    sound = path.read_bytes()
    middle = len(sound) - 1000
    for damaged in (sound + b"\0", sound[:middle] + b"garbage" + sound[middle:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="says itself that it has"), opened_h5(path):
            pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        (10**9).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (2**63).to_bytes(8, "little"),
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}    ',
    ],
)
def test_damaged_safetensors_are_named(tmp_path, content):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.safetensors: no whole safetensors file"):
        read_safetensors(path)


def test_a_tensor_is_stored_value_by_value(tmp_path):
    path = tmp_path / "file.pt"
    torch.save(torch.ones(3, 2)[1:], path)
    read = read_pytorch(path)
    assert isinstance(read, torch.Tensor)
    require_stored(path, read)
    for tensor in (
        torch.ones(1, 1).expand(10**9, 8),
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
    ):
        with pytest.raises(InputError, match=r"file\.pt"):
            require_stored(path, tensor)


def test_a_block_of_zeros_in_a_pytorch_file_is_told_by_its_checksum(tmp_path):
    path = tmp_path / "file.pt"
    torch.save({"weight": torch.ones(100, 8)}, path)
    read_pytorch(path)
    sound = path.read_bytes()
    place = sound.index(torch.ones(100).numpy().tobytes())
    path.write_bytes(sound[:place] + bytes(256) + sound[place + 256 :])
    with pytest.raises(InputError, match=r"file\.pt: file/data/0 is damaged"):
        read_pytorch(path)
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save({"weight": torch.ones(100, 8)}, path)
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    read_pytorch(path)
