"""Evaluation: from a predictions table to metrics, intervals and comparisons.

It reads tables and arrays alone, so that any model's predictions in the same CSV layout can be
evaluated, ours or others'.
"""

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.auc_interval import auc_interval
from histodistill.evaluation.calibration_figures import calibration_figures
from histodistill.evaluation.calibration_line import CalibrationLine, calibration_line
from histodistill.evaluation.checks import check_predictions
from histodistill.evaluation.comparison import Contender, compare, contenders_in, holm
from histodistill.evaluation.curves import (
    PrecisionRecallCurve,
    ReliabilityCurve,
    RocCurve,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from histodistill.evaluation.delong import AucEstimates, PairedTest, delong, delong_test
from histodistill.evaluation.difference import Difference, auc_difference
from histodistill.evaluation.external import (
    Question,
    attach_labels,
    contradictions,
    question_of,
    rows_of,
    targets_in,
    unanswered_notes,
)
from histodistill.evaluation.fold_auc import fold_aucs, live_table
from histodistill.evaluation.intervals import bootstrap_metrics, percentile_interval
from histodistill.evaluation.layout import NETWORKS, as_calibrated, networks_in, target_classes
from histodistill.evaluation.leaderboard import Leaderboard, build_leaderboard
from histodistill.evaluation.net_benefit import DecisionCurve, decision_curve
from histodistill.evaluation.parts import Part, parts
from histodistill.evaluation.predictions import read_predictions, write_predictions
from histodistill.evaluation.ranks import Ranking, rank_methods, ranks_table
from histodistill.evaluation.registry import (
    METRICS,
    STANDARD_METRICS,
    MetricDeclaration,
    metric_label,
    with_standard,
    without_classes,
)
from histodistill.evaluation.repeated import ResampledTest, fold_differences, resampled_test
from histodistill.evaluation.runs import Runs, auc_of, runs_of
from histodistill.evaluation.scores import Scores, is_of_order, require_metrics, roc_auc, score
from histodistill.evaluation.strata import strata_table
from histodistill.evaluation.subgroups import subgroup_table
from histodistill.evaluation.summary import EvaluationTables, evaluate
from histodistill.evaluation.thresholds import ThresholdRule, choose_threshold

__all__ = [
    "METRICS",
    "NETWORKS",
    "STANDARD_METRICS",
    "Answers",
    "AucEstimates",
    "CalibrationLine",
    "Contender",
    "DecisionCurve",
    "Difference",
    "EvaluationTables",
    "Leaderboard",
    "MetricDeclaration",
    "PairedTest",
    "Part",
    "PrecisionRecallCurve",
    "Question",
    "Ranking",
    "ReliabilityCurve",
    "ResampledTest",
    "RocCurve",
    "Runs",
    "Scores",
    "ThresholdRule",
    "answers_of",
    "as_calibrated",
    "attach_labels",
    "auc_difference",
    "auc_interval",
    "auc_of",
    "bootstrap_metrics",
    "build_leaderboard",
    "calibration_figures",
    "calibration_line",
    "check_predictions",
    "choose_threshold",
    "compare",
    "contenders_in",
    "contradictions",
    "decision_curve",
    "delong",
    "delong_test",
    "evaluate",
    "fold_aucs",
    "fold_differences",
    "holm",
    "is_of_order",
    "live_table",
    "metric_label",
    "networks_in",
    "parts",
    "percentile_interval",
    "precision_recall_curve",
    "question_of",
    "rank_methods",
    "ranks_table",
    "read_predictions",
    "reliability_curve",
    "require_metrics",
    "resampled_test",
    "roc_auc",
    "roc_curve",
    "rows_of",
    "runs_of",
    "score",
    "strata_table",
    "subgroup_table",
    "target_classes",
    "targets_in",
    "unanswered_notes",
    "with_standard",
    "without_classes",
    "write_predictions",
]
