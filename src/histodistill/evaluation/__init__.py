"""Evaluation: from a predictions table to metrics, intervals and comparisons.

It reads tables and arrays alone, so that any model's predictions in the same CSV layout can be
evaluated, ours or others'.
"""

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.auc_interval import auc_interval
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
)
from histodistill.evaluation.fold_auc import fold_aucs, live_table
from histodistill.evaluation.intervals import bootstrap_metrics, percentile_interval
from histodistill.evaluation.layout import NETWORKS, networks_in, target_classes
from histodistill.evaluation.leaderboard import Leaderboard, build_leaderboard
from histodistill.evaluation.metrics import METRICS, Scores, roc_auc, score
from histodistill.evaluation.predictions import read_predictions, write_predictions
from histodistill.evaluation.ranks import Ranking, rank_methods, ranks_table
from histodistill.evaluation.runs import Runs, auc_of, runs_of
from histodistill.evaluation.summary import EvaluationTables, evaluate
from histodistill.evaluation.thresholds import ThresholdRule, choose_threshold

__all__ = [
    "METRICS",
    "NETWORKS",
    "Answers",
    "AucEstimates",
    "Contender",
    "Difference",
    "EvaluationTables",
    "Leaderboard",
    "PairedTest",
    "PrecisionRecallCurve",
    "Question",
    "Ranking",
    "ReliabilityCurve",
    "RocCurve",
    "Runs",
    "Scores",
    "ThresholdRule",
    "answers_of",
    "attach_labels",
    "auc_difference",
    "auc_interval",
    "auc_of",
    "bootstrap_metrics",
    "build_leaderboard",
    "check_predictions",
    "choose_threshold",
    "compare",
    "contenders_in",
    "contradictions",
    "delong",
    "delong_test",
    "evaluate",
    "fold_aucs",
    "holm",
    "live_table",
    "networks_in",
    "percentile_interval",
    "precision_recall_curve",
    "question_of",
    "rank_methods",
    "ranks_table",
    "read_predictions",
    "reliability_curve",
    "roc_auc",
    "roc_curve",
    "runs_of",
    "score",
    "target_classes",
    "write_predictions",
]
