"""What every recipe is, in a line with its source, for the list of methods."""

from __future__ import annotations

from dataclasses import dataclass

from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.recipes import RECIPES
from histodistill.model.settings import DistillationName

_MKD = "MKD (Zhang 2025, MICCAI)"

_RECIPES = {
    "mkd": f"{_MKD}: decomposition, similarity and collaboration, trained together",
    "mkd-concat": "MKD with the multimodal teacher's fusion by concatenation",
    "mkd-no-decomposition": "MKD without decomposition (L_OR and L_CORAL)",
    "mkd-no-orthogonality": "MKD without orthogonality (L_OR)",
    "mkd-no-alignment": "MKD without alignment (L_CORAL)",
    "mkd-no-similarity": "MKD without similarity (SKD)",
    "mkd-no-collaboration": "MKD without collaboration (CLOD)",
    "mkd-labels-only": "MKD's three networks side by side, without any distillation",
    "mkd-offline": "MKD with teachers that are finished first",
    "mkd-reconstruction": "MKD whose student also predicts principal components of expression",
    "programmes": "the recommended recipe: ridge regression reads expression programmes from "
    "patches, linear networks learn the label; five models averaged",
    "gmkdn": "GMKDN (Zhang, IEEE TMI): MKD with a branch for expression (block `mrna`) and one for "
    "copy number (block `cna`)",
    "abmil": "ABMIL, gated attention (Ilse 2018, ICML)",
    "abmil-plain": "ABMIL, attention without the gate (Ilse 2018, ICML)",
    "mean": "mean of the patches",
    "max": "maximum over the patches",
    "linear": "logistic regression on the mean patch, trained like the networks",
    "linear-genomic": "logistic regression on all genes, trained like the networks",
    "linear-multimodal": "logistic regression on the mean patch and all genes, trained like the "
    "networks",
    "clam-sb": "CLAM, one attention branch, with the instance loss (Lu 2021, Nat. Biomed. Eng.)",
    "clam-mb": "CLAM, a branch a class, with the instance loss (Lu 2021, Nat. Biomed. Eng.)",
    "dsmil": "DSMIL, the critical patch and those like it (Li 2021, CVPR)",
    "transmil": "TransMIL, Nyström self-attention (Shao 2021, NeurIPS)",
    "dtfd-maxs": "DTFD-MIL, the most positive patch of each pseudo-bag (Zhang 2022, CVPR)",
    "dtfd-maxmins": "DTFD-MIL, the most and the least positive patch (Zhang 2022, CVPR)",
    "dtfd-mas": "DTFD-MIL, the most attended patch (Zhang 2022, CVPR)",
    "dtfd-afs": "DTFD-MIL, each pseudo-bag's pooled feature (Zhang 2022, CVPR)",
    "wikg": "WiKG, a graph that the patches draw among themselves (Li 2024, CVPR)",
    "rrt": "RRT-MIL, patches embedded again by regions (Tang 2024, CVPR)",
    "momkd": "MoMKD, attention led by class memories that genes shape in training (Guo 2026, CVPR)",
    "ghanet": "G-HANet, attention led by tokens that reconstruct genes (Wang 2025, IEEE TMI)",
    "genomic": f"the genomic teacher of {_MKD}, alone",
    "snn": "self-normalising network (Klambauer 2017, NeurIPS)",
    "multimodal": f"the multimodal teacher of {_MKD}, alone",
    "concat": "pooled slide and genes, concatenated",
    "late": "late fusion: the mean of a slide network's and a gene network's log-probabilities",
    "mcat": "MCAT, co-attention of genes and patches (Chen 2021, ICCV)",
    "cmta": "CMTA, cross-modal translation and alignment (Zhou 2023, ICCV)",
    "porpoise": "PORPOISE, attention pooling and Kronecker fusion (Chen 2022, Cancer Cell)",
    "pathomic": "Pathomic Fusion, gated Kronecker fusion (Chen 2020, IEEE TMI)",
}

_DISTILLATION: dict[DistillationName, str] = {
    "kd": "KD, softened probabilities (Hinton 2015)",
    "fitnet": "FitNets, the teacher's features as hints (Romero 2015, ICLR)",
    "at": "attention transfer (Zagoruyko 2017, ICLR)",
    "sp": "similarities between patients (Tung 2019, ICCV)",
    "rkd": "relational KD, distances and angles (Park 2019, CVPR)",
    "pkt": "probabilistic knowledge transfer (Passalis 2018, ECCV)",
    "crd": "contrastive representation distillation (Tian 2020, ICLR)",
    "vid": "variational information distillation (Ahn 2019, CVPR)",
    "cc": "correlation congruence (Peng 2019, ICCV)",
    "dkd": "decoupled KD (Zhao 2022, CVPR)",
    "dist": "DIST, correlation with a stronger teacher (Huang 2022, NeurIPS)",
    "nkd": "normalised KD (Yang 2023, ICCV)",
    "mlkd": "multi-level logit distillation (Jin 2023, CVPR)",
    "tdc": "topology-preserving contrastive distillation (Xing 2024, Med. Image Anal.)",
}


@dataclass(frozen=True)
class Description:
    """A recipe in words.

    Attributes:
        name: Its name.
        reads: What it predicts from, and what it reads in training beside.
        text: What it is, and where it comes from.
    """

    name: str
    reads: str
    text: str


def descriptions() -> list[Description]:
    """Every recipe in words, in their order."""
    return [Description(name, _reads(name), _text(name)) for name in RECIPES]


def _reads(name: str) -> str:
    method = _settings(name)
    networks = method.network.networks
    if "student" in networks:
        genes = method.network.reads_genes or method.objective.reads_genes
        return "slides; genes in training" if genes else "slides"
    return "slides and genes" if "multimodal" in networks else "genes"


def _text(name: str) -> str:
    """The recipe's own line, or how its student is taught, or else its networks."""
    if name in _RECIPES:
        return _RECIPES[name]
    method = _settings(name)
    taught = " + ".join(_DISTILLATION[way] for way in method.objective.distillation)
    if not taught:
        network = method.network
        return ", ".join(f"{part} `{getattr(network, part)}`" for part in network.networks)
    return f"{taught}, by finished teachers" if method.training.offline else taught


def _settings(name: str) -> MethodSettings:
    return MethodSettings.model_validate({"recipe": name} | RECIPES[name])
