from .boosted_trees import BoostedTreesBaseline as BoostedTreesBaseline
from .elastic_net import ElasticNetBaseline as ElasticNetBaseline
from .interface import Baseline as Baseline
from .logistic import LogisticBaseline as LogisticBaseline
from .registry import BASELINES as BASELINES, build_baseline as build_baseline
from .single_gene import (
    RECEPTOR_GENES as RECEPTOR_GENES,
    SingleGeneBaseline as SingleGeneBaseline,
    gene_separation as gene_separation,
    named_gene_baselines as named_gene_baselines,
)
