"""`histodistill import-checkpoint`: from the authors' state_dict files to predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.cli.command_line import fail, succeed
from tests.reference import N_GENES, reference_batch, reference_state

PATIENTS = [f"P{i:02d}" for i in range(16)]
GENES = [f"G{i:04d}" for i in range(1024)]


def attention(prefix: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.attention_V.0.weight": (128, 256),
        f"{prefix}.attention_V.0.bias": (128,),
        f"{prefix}.attention_U.0.weight": (128, 256),
        f"{prefix}.attention_U.0.bias": (128,),
        f"{prefix}.attention_weights.weight": (1, 128),
        f"{prefix}.attention_weights.bias": (1,),
    }


def layer(prefix: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": shape, f"{prefix}.bias": shape[:1]}


def student(width: int = 5) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the student in the authors' layout."""
    head = layer("classifier.fc", 2, 256)
    return layer("_fc1.0", 256, width) | attention("attention") | head


def genomic() -> dict[str, tuple[int, ...]]:
    """The genomic teacher; its own ``classifier`` is never used."""
    heads = layer("abmil.classifier.fc", 2, 256) | layer("classifier", 2, 256)
    return layer("fc1.0", 256, 512) | attention("abmil.attention") | heads


def concat(width: int = 5) -> dict[str, tuple[int, ...]]:
    """The multimodal teacher with the concat fusion."""
    return (
        layer("wsi_net.0", 256, width)
        | layer("snn.0", 256, 512)
        | attention("attention_path")
        | attention("attention_snn")
        | layer("mm.0", 512, 512)
        | layer("mm.2", 256, 512)
        | layer("classifier", 2, 256)
    )


def saved(path: Path, shapes: dict[str, tuple[int, ...]], prefix: str = "") -> dict[str, Tensor]:
    """Random weights of these shapes, written as a state_dict."""
    generator = torch.Generator().manual_seed(len(shapes))
    state = {
        name: torch.randn(shape, generator=generator) / np.sqrt(shape[-1])
        for name, shape in shapes.items()
    }
    torch.save({prefix + name: value for name, value in state.items()}, path)
    return state


def pooled(state: dict[str, Tensor], prefix: str, hidden: Tensor) -> Tensor:
    """Gated attention pooling as its paper writes it."""
    v = torch.tanh(
        hidden @ state[f"{prefix}.attention_V.0.weight"].T + state[f"{prefix}.attention_V.0.bias"]
    )
    u = torch.sigmoid(
        hidden @ state[f"{prefix}.attention_U.0.weight"].T + state[f"{prefix}.attention_U.0.bias"]
    )
    weights = (v * u) @ state[f"{prefix}.attention_weights.weight"].T
    return (torch.softmax(weights, dim=0) * hidden).sum(dim=0)


def write_genes(path: Path, genes: list[str] = GENES) -> Path:
    path.write_text("\n".join(genes) + "\n")
    return path


def write_slides(folder: Path, bags) -> Path:
    folder.mkdir()
    for patient, bag in zip(PATIENTS, bags, strict=True):
        np.save(folder / f"{patient}_slide.npy", bag)
    return folder


def predicted(tmp_path: Path, *words: object) -> pd.DataFrame:
    out = tmp_path / "predictions.csv"
    succeed("predict", tmp_path / "bundle", *words, "--out", out)
    return pd.read_csv(out, keep_default_na=False, na_values=[""]).set_index("PATIENT")


SLIDES = ("--patient-pattern", "^(P[0-9]+)_")


def test_student_and_genomic_teacher_are_computed_as_the_paper_says(tmp_path):
    s = saved(tmp_path / "s.pt", student())
    g = saved(tmp_path / "g.pt", genomic(), prefix="module.")
    genes = write_genes(tmp_path / "genes.txt")
    result = succeed(
        "import-checkpoint",
        *("--student", tmp_path / "s.pt", "--genomic", tmp_path / "g.pt"),
        *("--genes", genes, "--target", "HER2", "--out", tmp_path / "bundle"),
    )
    assert "(student, genomic)" in result.stdout
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(n, 5)).astype(np.float32) for n in range(1, 17)]
    values = rng.normal(size=(16, 1024)).astype(np.float32)
    write_slides(tmp_path / "features", bags)
    table = pd.DataFrame(values, columns=GENES, index=pd.Index(PATIENTS, name="PATIENT"))
    table[GENES[::-1]].to_csv(tmp_path / "mrna.csv", float_format="%.9g")
    found = predicted(
        tmp_path,
        *("--features", tmp_path / "features", *SLIDES),
        *("--genomics", f"mrna={tmp_path / 'mrna.csv'}"),
    )
    for row, patient in enumerate(PATIENTS):
        hidden = torch.relu(torch.from_numpy(bags[row]) @ s["_fc1.0.weight"].T + s["_fc1.0.bias"])
        logits = (
            s["classifier.fc.weight"] @ pooled(s, "attention", hidden) + s["classifier.fc.bias"]
        )
        assert found["student"][patient] == pytest.approx(logits.softmax(0)[1].item(), rel=1e-5)
        tokens = torch.from_numpy(values[row]).reshape(2, 512)
        hidden = torch.nn.functional.elu(tokens @ g["fc1.0.weight"].T + g["fc1.0.bias"])
        features = pooled(g, "abmil.attention", hidden)
        logits = g["abmil.classifier.fc.weight"] @ features + g["abmil.classifier.fc.bias"]
        assert found["genomic"][patient] == pytest.approx(logits.softmax(0)[1].item(), rel=1e-5)
    assert found["multimodal"].isna().all()
    assert found["call"].isna().all()
    assert set(found["why"]) == {"has genomics; no threshold is stored, so there is no call"}


def test_without_genes_the_bundle_predicts_from_slides_alone(tmp_path):
    for name, shapes in (("s", student()), ("g", genomic()), ("m", concat())):
        saved(tmp_path / f"{name}.pt", shapes)
    result = succeed(
        "import-checkpoint",
        *("--student", tmp_path / "s.pt", "--genomic", tmp_path / "g.pt"),
        *("--multimodal", tmp_path / "m.pt", "--out", tmp_path / "bundle"),
    )
    assert "Note: without --genes the bundle predicts from slides alone" in result.stdout
    write_slides(tmp_path / "features", [np.ones((2, 5), np.float32)] * 16)
    features = ("--features", tmp_path / "features", *SLIDES)
    assert set(predicted(tmp_path, *features)["answered_by"]) == {"student"}
    (tmp_path / "mrna.csv").write_text("PATIENT,G\nP00,1\n")
    (problem,) = fail(
        *("predict", tmp_path / "bundle", *features, "--out", tmp_path / "p.csv"),
        *("--genomics", f"mrna={tmp_path / 'mrna.csv'}"),
    )
    assert problem.endswith("the bundle reads no block mrna; the bundle's blocks: none")


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def wrong_files(tmp_path: Path) -> dict[str, Path]:
    names = "good genomic text pickle dict list truncated narrow numbers"
    paths = {name: tmp_path / f"{name}.pt" for name in names.split()}
    saved(paths["good"], student())
    saved(paths["genomic"], genomic())
    paths["text"].write_text("no checkpoint")
    torch.save({"weights": Payload(tmp_path / "ran")}, paths["pickle"])
    torch.save({"state_dict": {}, "epoch": 3}, paths["dict"])
    torch.save([torch.ones(1)], paths["list"])
    torch.save({0: torch.ones(1)}, paths["numbers"])
    paths["truncated"].write_bytes(paths["good"].read_bytes()[:1000])
    saved(paths["narrow"], student() | layer("classifier.fc", 3, 256))
    return paths | {"absent": tmp_path / "absent.pt"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("absent", "absent.pt: no such file"),
        ("text", "text.pt: cannot be read as a PyTorch state_dict without running code from it"),
        (
            "pickle",
            "pickle.pt: cannot be read as a PyTorch state_dict without running code from it",
        ),
        ("truncated", "truncated.pt: cannot be read as a PyTorch state_dict"),
        ("dict", "dict.pt: holds no state_dict (a dictionary of tensors)"),
        ("list", "list.pt: holds no state_dict (a dictionary of tensors)"),
        ("numbers", "numbers.pt: holds no state_dict (a dictionary of tensors)"),
        ("genomic", "genomic.pt: not a student checkpoint: lacks _fc1.0.bias, _fc1.0.weight"),
        ("genomic", "genomic.pt: not a student checkpoint: has unknown abmil.attention"),
        ("narrow", "narrow.pt: weights of sizes other than the paper's: "),
    ],
)
def test_a_wrong_checkpoint_is_named(tmp_path, kind, expected):
    problems = fail(
        "import-checkpoint", "--student", wrong_files(tmp_path)[kind], "--out", tmp_path / "bundle"
    )
    assert any(expected in problem for problem in problems), problems
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "ran").exists()


def imported(tmp_path: Path, *words: object) -> list[str]:
    return fail("import-checkpoint", *words, "--out", tmp_path / "bundle")


def test_options_that_do_not_go_together(tmp_path):
    saved(tmp_path / "s.pt", student())
    saved(tmp_path / "g.pt", genomic())
    saved(tmp_path / "m.pt", concat(width=6))
    s, g, m = (tmp_path / f"{name}.pt" for name in "sgm")
    assert imported(tmp_path) == [
        "give at least one checkpoint: --student, --genomic or --multimodal"
    ]
    assert imported(tmp_path, "--genomic", g) == [
        "a bundle without the student needs the genes: --genes LIST"
    ]
    assert imported(tmp_path, "--student", s, "--multimodal", m) == [
        f"the checkpoints read features of different widths: {s} 5, {m} 6"
    ]
    for classes, positive in (("a,b,c", "a"), ("a,b", "c"), ("a", "a"), ("a,a", "a"), ("a,", "a")):
        assert imported(tmp_path, "--student", s, "--classes", classes, "--positive", positive) == [
            "--classes names two classes, and --positive is one of them"
        ]
    (tmp_path / "bundle").mkdir()
    (problem,) = imported(tmp_path, "--student", s)
    assert problem.endswith("exists already; remove it or choose another folder")


def test_a_wrong_gene_list_is_told(tmp_path):
    saved(tmp_path / "g.pt", genomic())
    words = ("--genomic", tmp_path / "g.pt", "--genes")
    lists = {
        "short": (GENES[:1000], "holds 1000 genes; the networks read them in tokens of 512"),
        "twice": ([*GENES[:1023], GENES[0]], "genes are listed more than once: G0000"),
        "empty": ([], "holds no gene"),
    }
    for name, (genes, expected) in lists.items():
        (problem,) = imported(tmp_path, *words, write_genes(tmp_path / name, genes))
        assert expected in problem
    (problem,) = imported(tmp_path, *words, tmp_path / "absent")
    assert "absent: cannot be read as a text of gene names" in problem
    (problem,) = imported(tmp_path, *words, tmp_path / "g.pt")
    assert "g.pt: cannot be read as a text of gene names" in problem


@pytest.mark.shared
@pytest.mark.parametrize(
    ("fusion", "networks"),
    [
        ("bilinear", ("student", "multimodal", "genomic")),
        ("concat", ("student", "multimodal", "genomic")),
        ("bilinear", ("student",)),
        ("bilinear", ("genomic",)),
        ("concat", ("multimodal",)),
        ("bilinear", ("multimodal", "genomic")),
    ],
)
def test_the_authors_numbers_come_out_of_the_command_line(tmp_path, shared_data, fusion, networks):
    reference = shared_data / "reference"
    words: list[object] = []
    for name in networks:
        key = f"multimodal_{fusion}" if name == "multimodal" else name
        torch.save(reference_state(reference, key), tmp_path / f"{name}.pt")
        words += [f"--{name}", tmp_path / f"{name}.pt"]
    genes = [f"GENE{i}" for i in range(N_GENES)]
    succeed(
        *("import-checkpoint", *words, "--genes", write_genes(tmp_path / "genes.txt", genes)),
        *("--out", tmp_path / "bundle"),
    )
    bags, values, _ = reference_batch()
    write_slides(tmp_path / "features", bags)
    table = pd.DataFrame(values, columns=genes, index=pd.Index(PATIENTS, name="PATIENT"))
    table.to_csv(tmp_path / "mrna.csv", float_format="%.9g")
    given: list[object] = []
    if networks != ("genomic",):
        given += ["--features", tmp_path / "features", *SLIDES]
    if networks != ("student",):
        given += ["--genomics", f"mrna={tmp_path / 'mrna.csv'}"]
    found = predicted(tmp_path, *given)
    expected = np.load(reference / "mkd_reference.npz")
    for name in ("student", "multimodal", "genomic"):
        if name not in networks:
            assert found[name].isna().all()
            continue
        logits = torch.from_numpy(expected[f"{fusion}/{name}_logits"]).double()
        positive = logits.softmax(dim=1)[:, 1].numpy()
        np.testing.assert_allclose(found[name].to_numpy(), positive, rtol=1e-5, atol=0)
