"""Simple models that stand beside the networks in every result.

Logistic regression on all features of a modality, elastic net and boosted trees on genes, and
single genes: what a deep model must beat, and how much of the label can be read from one gene.
"""

from histodistill.baselines.boosted_trees import BoostedTreesBaseline
from histodistill.baselines.elastic_net import ElasticNetBaseline
from histodistill.baselines.interface import Baseline
from histodistill.baselines.logistic import LogisticBaseline
from histodistill.baselines.single_gene import (
    RECEPTOR_GENES,
    SingleGeneBaseline,
    gene_separation,
    named_gene_baselines,
)

__all__ = [
    "RECEPTOR_GENES",
    "Baseline",
    "BoostedTreesBaseline",
    "ElasticNetBaseline",
    "LogisticBaseline",
    "SingleGeneBaseline",
    "gene_separation",
    "named_gene_baselines",
]
