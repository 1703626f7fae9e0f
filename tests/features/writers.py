"""Write feature files as the tools do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

TRIDENT_COORDS = {
    "patch_size": 256,
    "patch_size_level0": 512,
    "level0_magnification": 40,
    "target_magnification": 20,
    "overlap": 0,
    "name": "S1",
    "savetodir": "20x_256px_0px_overlap",
}


def features(n: int = 7, width: int = 5, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(dtype)


def grid(n: int = 7, step: int = 512) -> np.ndarray:
    return np.stack([np.arange(n) * step, np.arange(n) % 3 * step], axis=1)


def trident(
    path: Path, patches: np.ndarray, encoder: str | None = "uni_v1", batched=False, **changes: Any
) -> Path:
    """One chunk a row, resizable, attributes on the datasets; a missing value is the text None."""
    coords = grid(len(patches)) if patches.ndim == 2 else grid()
    stored = {"features": patches[None] if batched else patches, "coords": coords}
    attributes = {
        "features": {"name": "S1", "encoder": str(encoder)},
        "coords": {**TRIDENT_COORDS, **changes},
    }
    with h5py.File(path, "w") as h5:
        for name, values in stored.items():
            shape = values.shape
            chunks = (1, *(max(1, side) for side in shape[1:]))
            dataset = h5.create_dataset(
                name, shape=shape, maxshape=(None, *shape[1:]), chunks=chunks, dtype=values.dtype
            )
            dataset[:] = values
            dataset.attrs.update(attributes[name])
    return path


def clam(path: Path, patches: np.ndarray) -> Path:
    """Appended batch by batch, int32 coordinates, no attributes."""
    coords = grid(len(patches)).astype(np.int32)
    with h5py.File(path, "w") as h5:
        for name, values in (("features", patches), ("coords", coords)):
            dataset = h5.create_dataset(
                name, data=values[:3], maxshape=(None, values.shape[1]), chunks=(1, values.shape[1])
            )
            dataset.resize(len(values), axis=0)
            dataset[3:] = values[3:]
    return path


def stamp(path: Path, patches: np.ndarray, coords: np.ndarray, **attributes: Any) -> Path:
    with h5py.File(path, "w") as h5:
        h5["coords"] = coords
        h5["feats"] = patches
        h5.attrs.update(attributes)
    return path


def stamp_2_4(path: Path, patches: np.ndarray) -> Path:
    return stamp(
        path,
        patches.astype(np.float16),
        grid(len(patches), step=256).astype(np.float32),
        stamp_version="2.4.0",
        extractor="mahmood-uni",
        unit="um",
        tile_size_um=256.0,
        tile_size_px=224,
        code_hash="0a1b2c3d",
        feat_type="tile",
    )


def slide2vec(run: Path, name: str, patches: torch.Tensor, **changes: Any) -> Path:
    """Features, metadata and coordinates, in the folders of a run."""
    path = run / "tile_embeddings" / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    (run / "tiles").mkdir(exist_ok=True)
    torch.save(patches, path)
    metadata = {
        "sample_id": name,
        "artifact_type": "tile_embeddings",
        "encoder_name": "virchow2",
        "encoder_level": "tile",
        "feature_dim": patches.shape[-1],
        "num_tiles": len(patches),
        "requested_tile_size_px": 224,
        "requested_spacing_um": 0.5,
        "compatibility": {"encoder_name": "virchow2"},
        **changes,
    }
    path.with_name(f"{name}.meta.json").write_text(json.dumps(metadata), encoding="utf-8")
    coords_npz(run / "tiles" / f"{name}.coordinates.npz", len(patches))
    return path


def coords_npz(path: Path, n: int) -> None:
    x, y = grid(n).T
    np.savez(
        path,
        x=x.astype(np.int64),
        y=y.astype(np.int64),
        tile_index=np.arange(n, dtype=np.int32),
        tissue_fractions=np.ones(n, dtype=np.float32),
    )


def coords_npy(path: Path, n: int) -> None:
    """The one structured array of slide2vec's first versions."""
    fields = [("x", int), ("y", int), ("tile_size_resized", int), ("resize_factor", float)]
    rows = np.zeros(n, dtype=fields)
    rows["x"], rows["y"] = grid(n).T
    np.save(path, rows)


def tensor(path: Path, content: object, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def array(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path
