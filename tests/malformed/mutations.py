"""Damage: what disks, copies, editors and malice do to a file.

A mutation changes a file in place. ``told`` says whether the damage can be seen in the file itself:
a digit that became another digit cannot, and nobody can be asked to notice.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import torch

Change = Callable[[Path, Random], None]


@dataclass(frozen=True)
class Mutation:
    """A kind of damage."""

    name: str
    change: Change
    told: bool = True


def _bytes(name: str, change: Callable[[bytes, Random], bytes], told: bool = True) -> Mutation:
    def rewrite(path: Path, rng: Random) -> None:
        path.write_bytes(change(path.read_bytes(), rng))

    return Mutation(name, rewrite, told)


def _cut(share: float) -> Callable[[bytes, Random], bytes]:
    return lambda content, rng: content[: int(len(content) * share)]


def _flip(content: bytes, rng: Random, within: int | None = None) -> bytes:
    place = rng.randrange(min(len(content), within or len(content)))
    changed = bytearray(content)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _high_bit(content: bytes, rng: Random) -> bytes:
    """A byte of ASCII becomes one that is no UTF-8."""
    changed = bytearray(content)
    changed[rng.randrange(len(content) // 2, len(content))] |= 0x80
    return bytes(changed)


def _inserted(what: bytes) -> Callable[[bytes, Random], bytes]:
    def insert(content: bytes, rng: Random) -> bytes:
        place = rng.randrange(1, len(content))
        return content[:place] + what + content[place:]

    return insert


def _overwritten(content: bytes, rng: Random) -> bytes:
    """A block of zeros, as a file system leaves it after a crash."""
    place = rng.randrange(len(content) // 2)
    size = min(512, len(content) // 3)
    return content[:place] + bytes(size) + content[place + size :]


def _number(value: bytes) -> Callable[[bytes, Random], bytes]:
    def replace(content: bytes, rng: Random) -> bytes:
        found = list(re.finditer(rb"(?<![\w.-])-?\d+\.\d+(?![\w.])", content))
        found = found or list(re.finditer(rb"(?<![\w.-])-?\d+(?![\w.])", content))
        if not found:
            return content + value
        chosen = rng.choice(found)
        return content[: chosen.start()] + value + content[chosen.end() :]

    return replace


def _doubled_line(content: bytes, rng: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content + content
    place = rng.randrange(1, len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def _without_last_lines(content: bytes, rng: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: max(1, len(lines) - rng.randrange(1, 4))])


def _huge_cell(content: bytes, rng: Random) -> bytes:
    return content.rstrip(b"\n") + b"A" * 200_000_000 + b"\n"


def _bomb() -> bytes:
    """Four billion zeros in four million bytes, of members that all unpack alike."""
    member = gzip.compress(bytes(64_000_000), 9)
    return member * 64


_PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
_PAGE = b"<!DOCTYPE html><html><body><h1>403 Forbidden</h1></body></html>\n"


def _replaced(what: Callable[[], bytes]) -> Callable[[bytes, Random], bytes]:
    return lambda content, rng: what()


def _pipe(path: Path, rng: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _linked(target: str) -> Change:
    def link(path: Path, rng: Random) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


def _loop(path: Path, rng: Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _folder(path: Path, rng: Random) -> None:
    path.unlink()
    path.mkdir()


ANY = (
    _bytes("empty", _replaced(lambda: b"")),
    _bytes("cut at a tenth", _cut(0.1)),
    _bytes("cut at a half", _cut(0.5)),
    _bytes("cut at nine tenths", _cut(0.9)),
    _bytes("zero bytes inserted", _inserted(bytes(16))),
    _bytes("a block of zeros", _overwritten),
    _bytes("a picture", _replaced(lambda: _PNG)),
    _bytes("a web page", _replaced(lambda: _PAGE)),
    _bytes("random bytes", lambda content, rng: rng.randbytes(len(content))),
    Mutation("a pipe", _pipe),
    Mutation("/dev/zero", _linked("/dev/zero")),
    Mutation("a circle of links", _loop),
    Mutation("a folder", _folder),
)
BINARY = (
    _bytes("a bit in the header", lambda content, rng: _flip(content, rng, 256), told=False),
    _bytes("a bit", _flip, told=False),
    _bytes("bytes inserted", _inserted(b"\x07garbage")),
    _bytes("a byte lost", lambda content, rng: content[:-1]),
    _bytes("gzip of itself", lambda content, rng: gzip.compress(content)),
    _bytes("a gzip bomb", _replaced(_bomb)),
)
TEXT = (
    _bytes("a byte of another encoding", _high_bit),
    _bytes("UTF-16", lambda content, rng: content.decode().encode("utf-16"), told=False),
    _bytes("a huge number", _number(b"1e400")),
    _bytes("a large number", _number(b"9" * 40), told=False),
    _bytes("NaN", _number(b"NaN"), told=False),
    _bytes("Infinity", _number(b"-Infinity")),
    _bytes("a line twice", _doubled_line),
    _bytes("a quote without end", _inserted(b'"'), told=False),
    _bytes("a cell of 200 MB", _huge_cell),
    _bytes("a NUL", _inserted(b"\0")),
    _bytes("cut within the last cell", lambda content, rng: content.rstrip()[:-1]),
    _bytes("cut at the end of a line", _without_last_lines, told=False),
)
GZIPPED = (
    *(
        _bytes(
            f"unpacked: {mutation.name}",
            lambda content, rng, mutation=mutation: _inside(content, rng, mutation),  # type: ignore[misc]
            mutation.told,
        )
        for mutation in TEXT
        if mutation.name != "a cell of 200 MB"
    ),
)


def _inside(content: bytes, rng: Random, mutation: Mutation) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(gzip.decompress(content))
        mutation.change(path, rng)
        return gzip.compress(path.read_bytes())


def _h5(name: str, change: Callable[[h5py.File, str, Random], None], told: bool = True) -> Mutation:
    def rewrite(path: Path, rng: Random) -> None:
        with h5py.File(path, "r+") as file:
            change(file, "feats" if "feats" in file else "features", rng)

    return Mutation(name, rewrite, told)


def _stored(make: Callable[[np.ndarray], Any]) -> Callable[[h5py.File, str, Random], None]:
    def replace(file: h5py.File, name: str, rng: Random) -> None:
        values = file[name][:]
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = make(values)
        file[name].attrs.update(attributes)

    return replace


def _with(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[0, 0] = value
        return changed

    return change


def _enormous(file: h5py.File, name: str, rng: Random) -> None:
    del file[name]
    file.create_dataset(
        name, shape=(1_000_000_000, 8), dtype="f4", chunks=(1_000_000, 8), compression="gzip"
    )
    coords = file.pop("coords", None)
    del coords


def _packed_zeros(file: h5py.File, name: str, rng: Random) -> None:
    del file[name]
    file.pop("coords", None)
    made = file.create_dataset(
        name, shape=(120_000_000, 8), dtype="f4", chunks=(4_000_000, 8), compression="gzip"
    )
    made.id.write_direct_chunk((0, 0), zlib.compress(bytes(128_000_000), 9))


def _external_link(file: h5py.File, name: str, rng: Random) -> None:
    other = Path(file.filename).with_suffix(".elsewhere")
    with h5py.File(other, "w") as target:
        target["features"] = np.ones((5, 8), np.float32)
    del file[name]
    file[name] = h5py.ExternalLink(other.name, "features")


def _external_storage(file: h5py.File, name: str, rng: Random) -> None:
    del file[name]
    file.create_dataset(name, (5, 8), "f4", external=[("/etc/services", 0, 160)])


HDF5 = (
    _h5("NaN", _stored(_with(np.nan))),
    _h5("infinity", _stored(_with(np.inf))),
    _h5("an implausible value", _stored(_with(6e4)), told=False),
    _h5("whole numbers", _stored(lambda v: v.astype(np.int32))),
    _h5("texts", _stored(lambda v: np.full(v.shape, b"x", "S1"))),
    _h5("complex numbers", _stored(lambda v: v.astype(np.complex64))),
    _h5("another width", _stored(lambda v: v[:, :5])),
    _h5("a patch less", _stored(lambda v: v[1:])),
    _h5("no patch", _stored(lambda v: v[:0])),
    _h5("a number", _stored(lambda v: np.float32(3))),
    _h5("four dimensions", _stored(lambda v: v[None, None])),
    _h5("a billion rows", _enormous),
    _h5("packed zeros", _packed_zeros),
    _h5("an external link", _external_link),
    _h5("external storage", _external_storage),
    _h5("no features", lambda file, name, rng: file.pop(name) and None),
)


def _tensor(name: str, make: Callable[[torch.Tensor], Any], told: bool = True) -> Mutation:
    def rewrite(path: Path, rng: Random) -> None:
        torch.save(make(torch.load(path)), path)

    return Mutation(name, rewrite, told)


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


PYTORCH = (
    _tensor("NaN", lambda v: torch.where(torch.eye(*v.shape) > 0, torch.nan, v).to(v.dtype)),
    _tensor("infinity", lambda v: torch.where(torch.eye(*v.shape) > 0, torch.inf, v).to(v.dtype)),
    _tensor("whole numbers", lambda v: v.int()),
    _tensor("another width", lambda v: v[:, :5].clone()),
    _tensor("no patch", lambda v: v[:0].clone()),
    _tensor("a vector", lambda v: v[0].clone()),
    _tensor("a text", lambda v: "features"),
    _tensor("a list", lambda v: [v]),
    _tensor("code", lambda v: _Code()),
    _tensor("a value repeated a billion times", lambda v: v[:1, :1].clone().expand(125_000_000, 8)),
    _tensor("sparse", lambda v: v.float().to_sparse()),
    _tensor("quantised", lambda v: torch.quantize_per_tensor(v.float(), 0.1, 0, torch.qint8)),
    _tensor("complex numbers", lambda v: v.to(torch.complex64)),
)


def _array(name: str, make: Callable[[np.ndarray], Any], told: bool = True) -> Mutation:
    def rewrite(path: Path, rng: Random) -> None:
        stored = np.load(path)
        if path.suffix == ".npz":
            np.savez(path, features=make(stored["features"]))
        else:
            np.save(path, make(stored), allow_pickle=True)

    return Mutation(name, rewrite, told)


def _claims_a_billion(path: Path, rng: Random) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (1_000_000_000, 8)}
    )
    content = header.getvalue() + bytes(160)
    if path.suffix == ".npz":
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("features.npy", content)
    else:
        path.write_bytes(content)


NUMPY = (
    _array("NaN", _with(np.nan)),
    _array("infinity", _with(-np.inf)),
    _array("whole numbers", lambda v: v.astype(np.int64)),
    _array("another width", lambda v: v[:, :5]),
    _array("objects", lambda v: v.astype(object)),
    _array("texts", lambda v: v.astype(str)),
    _array("a vector", lambda v: v[0]),
    _array("no patch", lambda v: v[:0]),
    Mutation("a header of a billion rows", _claims_a_billion),
)


def _json(name: str, change: Callable[[Any, Random], Any], told: bool = True) -> Mutation:
    def rewrite(path: Path, rng: Random) -> None:
        path.write_text(json.dumps(change(json.loads(path.read_text()), rng)))

    return Mutation(name, rewrite, told)


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in _leaves(v, (*place, k))]
    if isinstance(value, list):
        return [leaf for k, v in enumerate(value) for leaf in _leaves(v, (*place, k))]
    return [place]


def _leaf(make: Callable[[Any], Any], kind: type | tuple[type, ...] = object) -> Any:
    """Change one value of a kind somewhere in a JSON document."""

    def change(document: Any, rng: Random) -> Any:
        places = []
        for place in _leaves(document):
            value = document
            for key in place:
                value = value[key]
            if place and isinstance(value, kind) and not isinstance(value, bool):
                places.append(place)
        if not places:
            return [document]
        *path, last = rng.choice(places)
        holder = document
        for key in path:
            holder = holder[key]
        holder[last] = make(holder[last])
        return document

    return change


def _lost(document: Any, rng: Random) -> Any:
    """A key of an inner mapping is lost."""
    holders = [document]
    for place in _leaves(document):
        holder = document
        for key in place[:-1]:
            holder = holder[key]
            if isinstance(holder, dict):
                holders.append(holder)
    chosen = rng.choice(
        [holder for holder in holders if isinstance(holder, dict) and holder] or [{}]
    )
    if chosen:
        del chosen[rng.choice(list(chosen))]
    return document


NUMBER = (int, float)
JSON = (
    _json("a list", lambda document, rng: [document]),
    _json("nothing", lambda document, rng: None),
    _json("NaN inside", _leaf(lambda value: float("nan"), NUMBER)),
    _json("infinity inside", _leaf(lambda value: float("-inf"), NUMBER)),
    _json("a billion inside", _leaf(lambda value: 1_000_000_000, NUMBER)),
    _json("a negative inside", _leaf(lambda value: -3, NUMBER)),
    _json("a text for a number", _leaf(lambda value: "x", NUMBER)),
    _json("a number for a text", _leaf(lambda value: 3, str)),
    _json("another text", _leaf(lambda value: value + "x", str), told=False),
    _json("a list for a value", _leaf(lambda value: [value])),
    _json("a key lost", _lost),
    _json("a key more", lambda d, rng: {**d, "more": 1} if isinstance(d, dict) else [*d, 1]),
    _bytes("brackets, a hundred thousand deep", _replaced(lambda: b"[" * 100_000)),
    _bytes("objects, deep", _replaced(lambda: b'{"a":' * 100_000)),
)


def _header(change: Callable[[dict[str, Any]], Any], size: int | None = None) -> Change:
    """Another header of a safetensors file."""

    def rewrite(path: Path, rng: Random) -> None:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.dumps(change(json.loads(content[8 : 8 + length]))).encode()
        path.write_bytes(
            (size or len(header)).to_bytes(8, "little") + header + content[8 + length :]
        )

    return rewrite


def _first(header: dict[str, Any], **changes: Any) -> dict[str, Any]:
    name = next(name for name in header if name != "__metadata__")
    return header | {name: header[name] | changes}


SAFETENSORS = (
    Mutation("a header of a billion bytes", _header(lambda h: h, 1_000_000_000)),
    Mutation("a header of 2^63 bytes", _header(lambda h: h, 2**63)),
    Mutation("a billion rows", _header(lambda h: _first(h, shape=[1_000_000_000, 8]))),
    Mutation("negative rows", _header(lambda h: _first(h, shape=[-1]))),
    Mutation("another dtype", _header(lambda h: _first(h, dtype="I32"))),
    Mutation("an unknown dtype", _header(lambda h: _first(h, dtype="X9"))),
    Mutation("offsets beyond the end", _header(lambda h: _first(h, data_offsets=[0, 10**12]))),
    Mutation("another name", _header(lambda h: {f"{k}x": v for k, v in h.items()})),
    Mutation("a list", _header(lambda h: [h])),
)


def _yaml_bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    return "\n".join(lines).encode()


def _line(pattern: str, new: str) -> Callable[[bytes, Random], bytes]:
    return lambda content, rng: re.sub(pattern.encode(), new.encode(), content, count=1)


YAML = (
    _bytes("brackets, deep", _replaced(lambda: b"a: " + b"[" * 100_000)),
    _bytes("indented, deep", _replaced(lambda: b"".join(b" " * i + b"a:\n" for i in range(1200)))),
    _bytes("an alias bomb", _replaced(_yaml_bomb)),
    _bytes("aliases laid over the experiment", lambda c, rng: c + b"\n" + _yaml_bomb()),
    _bytes("an alias of itself", lambda c, rng: c + b"\nmethods: &m {abmil: *m}\n"),
    _bytes("a merge of itself", lambda c, rng: c + b"\nx: &x\n  <<: *x\n"),
    _bytes("a key twice", lambda c, rng: c + b"\noutput: elsewhere\n"),
    _bytes("a Python object", lambda c, rng: c + b"\nx: !!python/object/apply:os.system [id]\n"),
    _bytes("an unknown tag", lambda c, rng: c + b"\nx: !foo bar\n"),
    _bytes("an impossible date", lambda c, rng: c + b"\nx: 2024-99-99\n"),
    _bytes("an unknown key", lambda c, rng: c + b"\nmethod: mkd\n"),
    _bytes("huge folds", _line(r"folds: 2", "folds: 1000000000")),
    _bytes("negative folds", _line(r"folds: 2", "folds: -3")),
    _bytes("NaN folds", _line(r"folds: 2", "folds: .nan")),
    _bytes("huge width", _line(r"width: 8", "width: 1000000000000")),
    _bytes("infinite epochs", _line(r"max_epochs: 1", "max_epochs: .inf")),
    _bytes("two documents", lambda c, rng: c + b"\n---\nname: other\n"),
    _bytes("an integer of 5000 digits", lambda c, rng: c + b"\nseeds: [" + b"9" * 5000 + b"]\n"),
)


def _table(name: str, change: Callable[[Any, Random], Any], told: bool = True) -> Mutation:
    """Change an Excel or Parquet table as such."""
    import pandas as pd

    def rewrite(path: Path, rng: Random) -> None:
        if path.suffix == ".xlsx":
            change(pd.read_excel(path, dtype=object), rng).to_excel(path, index=False)
        else:
            change(pd.read_parquet(path).astype(object), rng).astype(str).to_parquet(path)

    return Mutation(name, rewrite, told)


def _a_row_twice(table: Any, rng: Random) -> Any:
    import pandas as pd

    return pd.concat([table, table.iloc[[rng.randrange(len(table))]]], ignore_index=True)


def _a_zip_bomb() -> bytes:
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(16):
            archive.writestr(f"xl/{number}.xml", bytes(128_000_000))
    return made.getvalue()


WORKBOOK = (
    _table("a row twice", _a_row_twice),
    _bytes("a zip bomb", _replaced(_a_zip_bomb)),
)
PARQUET = (_table("a row twice", _a_row_twice),)

PICTURE = (
    *(m for m in BINARY if m.name != "a byte lost"),  # what a PNG ends with says nothing
)
