"""AnnData files (``.h5ad``): ``obs_names`` are samples, ``var_names`` genes, ``X`` the values."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np

from histodistill.errors import InputError
from histodistill.gate.hdf5 import require_own_contents
from histodistill.genomics.matrix import MOST_CELLS, SampleMatrix


def read_h5ad(path: Path) -> SampleMatrix:
    """Read an AnnData file, dense or sparse.

    Raises:
        InputError: The ``anndata`` package is absent, or the file is damaged, larger than such
            tables are, leads to other files or has no ``X``.
    """
    try:
        anndata = importlib.import_module("anndata")
    except ImportError as error:
        raise InputError(
            f"{path}: reading AnnData files needs the package anndata; "
            "install it with: pip install 'histodistill[anndata]'"
        ) from error
    try:
        require_own_contents(path)
        data = anndata.read_h5ad(path)
    except InputError:
        raise
    except Exception as error:  # h5py and anndata raise many kinds
        raise InputError(
            f"{path}: cannot be read as AnnData; it is truncated or damaged."
        ) from error
    if data.X is None:
        raise InputError(f"{path}: has no matrix X.")
    if math.prod(data.X.shape) > MOST_CELLS:  # a sparse matrix stores few of its cells
        raise InputError(
            f"{path}: says that X has the shape {list(data.X.shape)}, more than the "
            f"{MOST_CELLS:,} cells of such a table; is it the right file?"
        )
    values = data.X if isinstance(data.X, np.ndarray) else data.X.toarray()
    return SampleMatrix(
        [str(name) for name in data.obs_names],
        [str(name) for name in data.var_names],
        np.asarray(values, dtype=np.float32),
    )
