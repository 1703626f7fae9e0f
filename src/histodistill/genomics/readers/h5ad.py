"""AnnData files (``.h5ad``): ``obs_names`` are samples, ``var_names`` genes, ``X`` the values."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from histodistill.errors import InputError
from histodistill.genomics.matrix import SampleMatrix


def read_h5ad(path: Path) -> SampleMatrix:
    """Read an AnnData file, dense or sparse.

    Raises:
        InputError: The ``anndata`` package is absent, or the file is damaged or has no ``X``.
    """
    try:
        anndata = importlib.import_module("anndata")
    except ImportError as error:
        raise InputError(
            f"{path}: reading AnnData files needs the package anndata; "
            "install it with: pip install 'histodistill[anndata]'"
        ) from error
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise many kinds
        raise InputError(
            f"{path}: cannot be read as AnnData; it is truncated or damaged."
        ) from error
    if data.X is None:
        raise InputError(f"{path}: has no matrix X.")
    values = data.X if isinstance(data.X, np.ndarray) else data.X.toarray()
    return SampleMatrix(
        [str(name) for name in data.obs_names],
        [str(name) for name in data.var_names],
        np.asarray(values, dtype=np.float32),
    )
