"""Biomarkers from H&E slides, distilled from genomics.

The functions that a script needs, in the order in which it needs them: ``read_experiment``,
``audit``, ``load``, ``cross_validate``, ``evaluate``, ``compare``, ``train_final``,
``Bundle`` and ``predict``. Research use only; not a medical device.
"""

from histodistill.deploy import Bundle, predict
from histodistill.errors import HistodistillError, InputError
from histodistill.evaluation import compare, contenders_in, evaluate, read_predictions
from histodistill.experiment import Experiment, load, read_experiment
from histodistill.experiment.audit import audit
from histodistill.features import BagStore, open_bags
from histodistill.genomics import read_genomic_table
from histodistill.training import cross_validate, fold_ensemble, train_final

__all__ = [
    "BagStore",
    "Bundle",
    "Experiment",
    "HistodistillError",
    "InputError",
    "audit",
    "compare",
    "contenders_in",
    "cross_validate",
    "evaluate",
    "fold_ensemble",
    "load",
    "open_bags",
    "predict",
    "read_experiment",
    "read_genomic_table",
    "read_predictions",
    "train_final",
]
