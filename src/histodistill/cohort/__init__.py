"""The cohort: who the patients are, what is known of them, their slides, and their folds.

Everything that comes from a user's table or folder is read and checked here once; beyond this
room patients are plain strings, labels class numbers, slides paths and folds ``Fold`` objects.
"""

from histodistill.cohort.clinical import ClinicalTable, SurvivalColumns, read_clinical
from histodistill.cohort.fold_files import FoldFiles, read_folds
from histodistill.cohort.folds import (
    Fold,
    check_folds,
    external_fold,
    fold_table,
    site_preserved_folds,
    stratified_folds,
)
from histodistill.cohort.joint_labels import joint_labels
from histodistill.cohort.slides import SlideIndex, find_slides
from histodistill.cohort.targets import Target, declared_target, with_names

__all__ = [
    "ClinicalTable",
    "Fold",
    "FoldFiles",
    "SlideIndex",
    "SurvivalColumns",
    "Target",
    "check_folds",
    "declared_target",
    "external_fold",
    "find_slides",
    "fold_table",
    "joint_labels",
    "read_clinical",
    "read_folds",
    "site_preserved_folds",
    "stratified_folds",
    "with_names",
]
