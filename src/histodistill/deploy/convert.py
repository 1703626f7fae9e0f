"""The authors' checkpoints as one of our bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from histodistill.deploy.authors_layout import AuthorsNetwork, read_authors_checkpoint
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.info import BundleInfo, FeatureOrigin
from histodistill.errors import InputError
from histodistill.files import sha256
from histodistill.genomics import GenomicPreprocessor
from histodistill.inference import Member
from histodistill.model import NETWORKS, NetworkName, Networks, NetworkSettings
from histodistill.preparation import Transforms

BLOCK = "mrna"
# The authors read 8192 genes in tokens of 512.
AUTHORS_TOKENS = 16


def convert_checkpoints(
    checkpoints: Mapping[NetworkName, Path],
    *,
    target: str,
    classes: tuple[str, str],
    positive: str,
    genes: Sequence[str] = (),
) -> Bundle:
    """Translate the authors' ``state_dict`` files into a bundle.

    Their networks read expression as it is (z-scores of cBioPortal), so that no scaling is
    added, and they store no operating threshold, so that there are no calls without one.

    Args:
        checkpoints: Files by network; any of the three may be absent.
        target: What the networks predict.
        classes: Names of their two classes, in the order of their outputs.
        positive: The positive one.
        genes: Genes in the order of their tokens, a multiple of 512; without them the bundle
            predicts from slides alone.

    Raises:
        InputError: No checkpoint is given, one cannot be read, or two disagree.
    """
    if not checkpoints:
        raise InputError("give at least one checkpoint: --student, --genomic or --multimodal")
    read = {
        name: read_authors_checkpoint(checkpoints[name], name, BLOCK)
        for name in NETWORKS
        if name in checkpoints
    }
    if "student" not in read and not genes:
        raise InputError("a bundle without the student needs the genes: --genes LIST")
    networks = _assemble(read, checkpoints)
    token_size = networks.settings.token_size
    if len(genes) % token_size:
        raise InputError(
            f"the gene list holds {len(genes)} genes; the networks read them in tokens of "
            f"{token_size}, so that it must hold a multiple of {token_size}"
        )
    info = BundleInfo(
        target=target,
        classes=classes,
        positive=positive,
        features=None
        if networks.feature_width is None
        else FeatureOrigin(width=networks.feature_width),
        blocks={BLOCK: {"format": "auto", "transform": "none"}}
        if networks.blocks and genes
        else {},
        recipe="imported",
        provenance={
            "imported": {
                name: {"file": path.name, "sha256": sha256(path)}
                for name, path in checkpoints.items()
            }
        },
    )
    blocks = {name: GenomicPreprocessor.identity(genes, block=name) for name in info.blocks}
    return Bundle(info, (Member(networks, Transforms(None, blocks), {}),))


def _assemble(
    read: Mapping[NetworkName, AuthorsNetwork], paths: Mapping[NetworkName, Path]
) -> Networks:
    """Networks of the sizes that the weights have."""
    first_layers = {
        paths[name]: network.weights["patches.0.weight"].shape
        for name, network in read.items()
        if name != "genomic"
    }
    if len(set(first_layers.values())) > 1:
        raise InputError(
            "the checkpoints read features of different widths: "
            + ", ".join(f"{path} {shape[1]}" for path, shape in first_layers.items())
        )
    width = next((shape[1] for shape in first_layers.values()), None)
    settings = NetworkSettings(
        networks=tuple(read),
        fusion=next((n.fusion for n in read.values() if n.fusion is not None), "bilinear"),
    )
    blocks = {BLOCK: AUTHORS_TOKENS} if settings.reads_genes else {}
    networks = Networks(width, blocks, 2, settings)
    for name, network in read.items():
        try:
            networks.get_submodule(name).load_state_dict(network.weights)
        except RuntimeError as error:
            raise InputError(
                f"{paths[name]}: weights of sizes other than the paper's: "
                f"{' '.join(str(error).split())}"
            ) from error
    return networks.eval()
