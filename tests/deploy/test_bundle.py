"""The bundle on disk: whole or not at all, checked when read, and free of code."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from histodistill.deploy import Bundle, predict
from histodistill.deploy import bundle as bundle_module
from histodistill.deploy.card import model_card
from histodistill.deploy.checksums import CHECKSUMS, write_checksums
from histodistill.errors import InputError
from histodistill.files import sha256
from histodistill.preparation import Transforms
from tests.deploy.bundles import bags_of, bundle, expression, member

PATIENTS = ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"fusion": "concat"},
        {"scaled": True},
        {"blocks": ("mrna", "cna")},
        {"networks": ("student",)},
        {"networks": ("genomic",)},
    ],
    ids=str,
)
def test_a_saved_bundle_predicts_the_same(tmp_path, kind):
    made = bundle(member(1, **kind), member(2, **kind))
    made.save(tmp_path / "models" / "bundle")
    read = Bundle.load(tmp_path / "models" / "bundle")
    bags = bags_of(tmp_path / "features", PATIENTS) if made.info.features else None
    genomics = {name: expression(PATIENTS[1:], seed=i) for i, name in enumerate(made.info.blocks)}
    before = predict(made, bags=bags, genomics=genomics).table
    pd.testing.assert_frame_equal(
        predict(read, bags=bags, genomics=genomics).table, before, check_exact=True
    )
    assert before["probability"].notna().all()
    assert read.info == made.info
    assert [dict(m.thresholds) for m in read.members] == [dict(m.thresholds) for m in made.members]


def test_a_bundle_is_safetensors_json_and_a_card_and_reading_it_unpickles_nothing(
    tmp_path, monkeypatch
):
    folder = tmp_path / "bundle"
    bundle(member(scaled=True)).save(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert files == [
        "MODEL_CARD.md",
        "bundle.json",
        "member-0/networks.safetensors",
        "member-0/transforms.json",
        "member-0/transforms.safetensors",
    ]
    for path in folder.rglob("*.safetensors"):
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        assert json.loads(content[8 : 8 + size])

    def forbidden(*args, **kwargs):
        raise AssertionError("something was unpickled")

    # What the first call imports may inherit from the unpickler.
    Bundle.load(folder)
    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setattr(pickle, "loads", forbidden)
    monkeypatch.setattr(pickle, "Unpickler", forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    Bundle.load(folder)


def test_others_may_read_a_bundle(tmp_path):
    bundle().save(tmp_path / "bundle")
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o755


def test_an_existing_folder_is_left_alone(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    with pytest.raises(InputError, match="exists already; remove it or choose another folder"):
        bundle().save(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("step", ["save_file", "write_json", "write_text"])
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "no space left"), KeyboardInterrupt()])
def test_a_fault_while_saving_leaves_nothing(tmp_path, monkeypatch, step, fault):
    def failing(*args, **kwargs):
        raise fault

    monkeypatch.setattr(bundle_module, step, failing)
    with pytest.raises(type(fault)):
        bundle().save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_saving_leaves_no_bundle(tmp_path, monkeypatch):
    made = bundle()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(
            bundle_module, "write_text", lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        )
        made.save(tmp_path / "bundle")
        os._exit(0)  # never reached: the kill comes first
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert not (tmp_path / "bundle").exists()
    made.save(tmp_path / "bundle")
    Bundle.load(tmp_path / "bundle")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    bundle(member(1), member(2)).save(tmp_path / "bundle")
    return tmp_path / "bundle"


def refusal(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as refused:
        Bundle.load(folder)
    return refused.value.problems


def test_missing_and_damaged_files_are_all_named(saved):
    (saved / "member-0" / "transforms.json").unlink()
    for name in ("networks.safetensors", "transforms.safetensors"):
        path = saved / "member-1" / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert refusal(saved) == (
        f"{saved}/member-0/transforms.json: missing; the bundle is not whole, copy it again",
        f"{saved}/member-1/networks.safetensors: damaged: its content changed; copy it again",
        f"{saved}/member-1/transforms.safetensors: damaged: its content changed; copy it again",
    )


def change(folder: Path, edit, *, name: str = "bundle.json", seal: bool = True) -> None:
    """Edit a JSON file of a bundle, and hash its files anew, as somebody with intent would."""
    path = folder / name
    description = json.loads(path.read_text())
    edit(description)
    path.write_text(json.dumps(description))
    if seal:
        (folder / CHECKSUMS).unlink(missing_ok=True)
        write_checksums(folder)


def as_format_1(folder: Path) -> None:
    """Make of a bundle what the first version wrote."""

    def older(description) -> None:
        description["info"]["format"] = 1
        for index, each in enumerate(description["members"]):
            files = sorted((folder / f"member-{index}").iterdir())
            each["sha256"] = {path.name: sha256(path) for path in files}

    change(folder, older, seal=False)
    (folder / CHECKSUMS).unlink()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"info": 3}', "\0", "[" * 100_000])
def test_a_damaged_description_is_named(saved, text):
    (saved / "bundle.json").write_text(text)
    (problem,) = refusal(saved)
    assert problem.startswith(f"{saved}/bundle.json: ")


def test_every_file_of_a_bundle_is_hashed(saved):
    recorded = {line.split("  ")[1] for line in (saved / CHECKSUMS).read_text().splitlines()}
    files = {p.relative_to(saved).as_posix() for p in saved.rglob("*") if p.is_file()}
    assert recorded == files - {CHECKSUMS}
    change(saved, lambda d: d["members"][1]["thresholds"].update(student=0.41), seal=False)
    assert refusal(saved) == (f"{saved}/bundle.json: damaged: its content changed; copy it again",)
    (saved / CHECKSUMS).unlink()
    assert refusal(saved) == (
        f"{saved}/{CHECKSUMS}: missing; the bundle is not whole, copy it again",
    )
    for text in ("", "\n", "abc  bundle.json\n", "\0"):
        (saved / CHECKSUMS).write_text(text)
        assert refusal(saved) == (f"{saved}/{CHECKSUMS}: damaged; copy the bundle again",)


def test_checksums_name_nothing_outside_the_bundle(saved):
    digest = sha256(saved / "bundle.json")
    with (saved / CHECKSUMS).open("a") as stream:
        stream.write(f"{digest}  ../../etc/passwd\n")
    (problem,) = refusal(saved)
    assert "its checksums name a file outside it" in problem


@pytest.mark.parametrize("format_1", [False, True])
@pytest.mark.parametrize(
    "edit",
    [
        *(
            lambda d, value=value: d["members"][0]["thresholds"].update(student=value)
            for value in (-3, 1.5, float("nan"), float("inf"), "x", None, [0.5])
        ),
        lambda d: d["members"][0]["thresholds"].update(nobody=0.5),
        lambda d: d["members"][0]["architecture"].update(n_classes=3),
        lambda d: d["members"][0]["architecture"].update(n_classes=10**9),
        lambda d: d["members"][0]["architecture"].update(feature_width=10**9),
        lambda d: d["members"][0]["architecture"].update(feature_width=None),
        lambda d: d["members"][0]["architecture"]["settings"].update(width=10**12),
        lambda d: d["members"][0]["architecture"]["settings"].update(width=-8),
        lambda d: d["members"][0]["architecture"]["settings"].update(networks=["student"]),
        lambda d: d["members"][0]["architecture"]["blocks"].update(mrna=10**9),
        lambda d: d["members"][0]["architecture"].pop("settings"),
        lambda d: d["members"][0].pop("thresholds"),
        lambda d: d["members"].clear(),
        lambda d: d.update(members=3),
        lambda d: d["info"].update(positive="other"),
        lambda d: d["info"].update(positive=None),
        lambda d: d["info"].update(classes=["positive", "positive"]),
        lambda d: d["info"]["features"].update(width=0),
        lambda d: d["info"]["features"].update(patch_um=float("inf")),
        lambda d: d["info"]["blocks"]["mrna"].update(transform="rot13"),
        lambda d: d["info"].update(blocks={"mrna": 3}),
    ],
)
def test_values_out_of_bounds_are_refused_whatever_their_hash(saved, edit, format_1):
    if format_1:
        as_format_1(saved)
    change(saved, edit, seal=not format_1)
    (problem,) = refusal(saved)
    assert problem.startswith(str(saved))
    assert "copy the bundle again" in problem


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.pop("blocks"),
        lambda d: d.update(blocks={"other": d["blocks"]["mrna"]}),
        lambda d: d["blocks"]["mrna"].update(clip=-1, more=2),
        lambda d: d["blocks"]["mrna"]["genes"].append("GENE99"),
        lambda d: d["blocks"].update(mrna=[1]),
    ],
)
def test_transforms_that_are_not_the_networks_are_refused(saved, edit):
    change(saved, lambda _: None)
    path = "member-0/transforms.json"
    change(saved, edit, name=path)
    (problem,) = refusal(saved)
    assert str(saved / "member-0") in problem or "Block mrna" in problem


def test_code_that_fails_is_not_called_damage(saved, monkeypatch):
    def broken(*_):
        raise AssertionError("the bug itself")

    monkeypatch.setattr(Transforms, "load", broken)
    (problem,) = refusal(saved)
    assert problem.startswith(f"{saved}/member-0: its files are those that were written")
    assert f"AssertionError: the bug itself ({__file__}, line " in problem
    assert "damaged" not in problem


def test_reading_does_not_load_pytorchs_compiler(saved):
    program = (
        "import sys; from pathlib import Path; from histodistill.deploy import Bundle; "
        "Bundle.load(Path(sys.argv[1])); print('torch._dynamo' in sys.modules)"
    )
    words = [sys.executable, "-c", program, str(saved)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "False\n"


def test_weights_that_are_not_finite_are_refused(saved):
    path = saved / "member-1" / "networks.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_file(weights, path)
    change(saved, lambda _: None)
    (problem,) = refusal(saved)
    assert problem.startswith(f"{path}: NaN or infinite weights in ")


def test_a_bundle_of_the_first_format_is_read_with_a_note(saved):
    as_format_1(saved)
    read = Bundle.load(saved)
    assert len(read.members) == 2
    assert "written by an earlier version" in read.notes[0]
    (saved / "member-0" / "networks.safetensors").write_bytes(b"other")
    assert "damaged: its content changed" in refusal(saved)[0]
    change(saved, lambda d: d["members"][0].pop("sha256"), seal=False)
    assert "no hashes of its files" in refusal(saved)[0]


def test_a_newer_format_asks_for_a_newer_version(saved):
    change(saved, lambda d: d["info"].update(format=3, new="something"), seal=False)
    assert refusal(saved) == (
        f"{saved}: bundle format 3, and this version of histodistill reads formats up to 2; "
        "install the version that wrote it",
    )


def test_what_is_no_bundle_is_told(tmp_path, saved):
    expected = "not a model bundle: it has no bundle.json"
    assert refusal(tmp_path / "absent") == (f"{tmp_path}/absent: {expected}",)
    assert refusal(tmp_path) == (f"{tmp_path}: {expected}",)
    file = saved / "bundle.json"
    assert refusal(file) == (f"{file}: {expected}",)


def test_the_card_tells_what_a_user_must_know(tmp_path):
    bundle(member(1), member(2), encoder="uni_v1").save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    for expected in (
        "# ER: mkd",
        "Research use only. Not a medical device",
        "classes negative, positive; the positive class is positive",
        "uni_v1, 6 wide",
        "Patches are read as: their features",
        "Genomic blocks: mrna",
        "Networks: student, multimodal, genomic",
        "Members averaged: 2",
        "student 0.400, multimodal 0.400, genomic 0.400",
        '"experiment": "a test"',
        '"seed": 7',
    ):
        assert expected in card


def test_the_card_tells_who_taught_it_and_what_was_measured(tmp_path):
    made = bundle(member())
    figure = {"network": "student", "patients": 60, "positive": 20, "folds": "site"}
    known = {
        "classes": {"negative": 40, "positive": 20},
        "sites": {"A2": 35, "BH": 25},
        "performance": [
            {**figure, "metric": "auc", "estimate": 0.81, "low": 0.7, "high": 0.88},
            {**figure, "metric": "ppv", "estimate": None, "low": None, "high": None},
        ],
    }
    info = made.info.model_copy(update={"provenance": known})
    Bundle(info, made.members).save(tmp_path / "bundle", date(2026, 5, 4))
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    for expected in (
        "Learnt from: 60 patients (40 negative, 20 positive)",
        "Hospitals: 2, with the patients of each: A2 (35), BH (25)",
        "Written: 2026-05-04",
        "Cross-validation of the same method (site folds)",
        "| Network | n (positive / negative) | AUC | PPV |",
        "| student | 60 (20 / 40) | 0.810 [0.700–0.880] | undefined |",
    ):
        assert expected in card
    bundle(member()).save(tmp_path / "unmeasured")
    assert "Not known to this bundle" in (tmp_path / "unmeasured" / "MODEL_CARD.md").read_text()


def test_the_card_of_a_bundle_without_slides_and_thresholds(tmp_path):
    made = member(networks=("genomic",), thresholds={}, classes=3)
    bundle(made, classes=("a", "b", "c")).save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "classes a, b, c\n" in card
    assert "Patch features: none" in card
    assert "validation patients: none" in card


def test_the_threshold_of_members_is_their_mean_where_all_have_one():
    made = bundle(
        member(1, thresholds={"student": 0.25, "genomic": 0.5}),
        member(2, thresholds={"student": 0.75}),
    )
    assert made.threshold("student") == 0.5
    assert made.threshold("genomic") is None
    assert made.threshold("multimodal") is None


def test_the_card_tells_what_is_read_of_a_patch():
    made = bundle(member())
    architecture = made.members[0].networks.architecture()
    architecture["settings"] |= {"programmes": 30, "prototypes": 256}
    members = [{"architecture": architecture, "thresholds": {}}] * 3
    read = "Patches are read as: 30 expression programmes, predicted from squashed features"
    some = model_card(made.info, members, n_prototypes=[256, 0, 255])
    assert f"{read} and 255 or 256 prototypes of tissue\n" in some
    architecture["settings"]["proportions"] = True
    some = model_card(made.info, members, n_prototypes=[256], n_detectors=[6])
    assert "256 prototypes of tissue, the first also from detectors of patches\n" in some
    some = model_card(made.info, members, n_prototypes=[256], n_detectors=[6, 0, 6])
    assert "the first also from detectors of patches in 2 of 3 models (left out where" in some
    none = model_card(made.info, members, n_prototypes=[0, 0, 0])
    assert f"{read} alone: patches hardly differ within slides" in none
    architecture["settings"]["prototypes"] = None
    assert f"{read}\n" in model_card(made.info, members, n_prototypes=[0, 0, 0])


def test_the_card_tells_simulated_patients_and_code_of_others():
    made = bundle(member())
    info = made.info.model_copy(update={"provenance": {"simulated": True}})
    architecture = made.members[0].networks.architecture()
    architecture["settings"]["student"] = "my_package.heads:TopK"
    card = model_card(info, [{"architecture": architecture, "thresholds": {}}])
    assert "Learnt from: not recorded; **all simulated" in card
    assert "`my_package.heads:TopK`; who trusts it loads the bundle with `--allow my_pack" in card
    own = made.members[0].networks.architecture()
    plain = model_card(made.info, [{"architecture": own, "thresholds": {}}])
    assert "Code of other packages: none" in plain
    assert "simulated" not in plain


def test_the_card_of_more_than_two_classes_counts_each_and_says_what_is_averaged(tmp_path):
    figure = {"network": "student", "metric": "auc", "estimate": 0.7, "low": 0.6, "high": 0.8}
    counted = {"patients": 9, "positive": None, "classes": "4 a, 3 b, 2 c", "folds": "stratified"}
    made = bundle(member(classes=3), classes=("a", "b", "c"))
    known = made.info.provenance | {"performance": [figure | counted]}
    info = made.info.model_copy(update={"provenance": known})
    Bundle(info, made.members).save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "| student | 9 (4 a, 3 b, 2 c) | 0.700 [0.600–0.800] |" in card
    assert "unweighted means over the classes, each\nagainst the rest." in card
