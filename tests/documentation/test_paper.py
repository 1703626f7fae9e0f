"""The experiment of the paper's protocol reads its sources as its page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from histodistill import read_experiment
from tests.cli.command_line import succeed
from tests.documentation import downloads
from tests.documentation.pages import DOCS

MRNA = "data_mrna_seq_v2_rsem_zscores_ref_all_samples.txt"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The experiment beside small files in the layouts of its downloads."""
    downloads.cbioportal(tmp_path / "brca_tcga")
    downloads.uni2_h(tmp_path / "features")
    (tmp_path / "brca_tcga_pan_can_atlas_2018").mkdir()
    shutil.move(tmp_path / "brca_tcga" / MRNA, tmp_path / "brca_tcga_pan_can_atlas_2018" / MRNA)
    return Path(shutil.copy(DOCS.parent / "experiments/paper.yaml", tmp_path))


def test_the_papers_experiment_passes_the_audit(copied: Path) -> None:
    told = succeed("audit", copied, "--out", copied.parent / "audit").stdout
    assert "No problem found." in told
    folds = pd.read_csv(copied.parent / "audit/folds.csv")
    assert set(folds["target"]) == {"ER", "PR", "HER2"}


def test_its_optimisation_is_the_papers(copied: Path) -> None:
    mkd = read_experiment(copied).methods["mkd"]
    training = mkd.training
    assert (training.learning_rate, training.weight_decay) == (2e-4, 1e-5)
    assert (training.batch_size, training.max_epochs, training.patience) == (16, 100, 5)
    assert (training.cosine_epochs, training.balanced, training.patches) == (50, True, None)
    assert (mkd.network.width, mkd.network.attention_width) == (256, 128)
    assert not training.offline
