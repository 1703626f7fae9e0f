"""Every number on the page is in the CSV that its table names."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histodistill.evaluation import check_predictions, subgroup_table
from histodistill.evaluation.runs import runs_of
from histodistill.report import Report, write_report
from histodistill.report.checklists import filled_checklists
from histodistill.report.depth.distribution import MOST_POINTS, distribution
from histodistill.report.drawn_methods import drawn_methods
from histodistill.report.evidence import Evidence
from histodistill.report.slide_maps import SlideMap, thumbnails
from tests.evaluation.simulated import three_class, two_class
from tests.report.example import full_report
from tests.report.pages import numbers_in, tables_of, unfounded


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("full"), full_report(), n_resamples=40)


def test_every_number_of_every_table_is_in_its_csv(page: Path):
    told = tables_of(page)
    assert len({source for source, _ in told}) >= 24, {source for source, _ in told}
    for source, rows in told:
        if rows[0][2:3] in (["in part"], ["yours to write"], ["from this run"]):
            # A checklist, whose words are those of its Markdown.
            continue
        assert source, rows[:2]
        cells = [cell for row in rows for cell in row[_names(source) :]]
        known = numbers_in(page.parent / source)
        # Negative patients are told as the rest, differences of counts.
        counts = [one for one in known if one == int(one)]
        known += list({a - b for a in set(counts) for b in set(counts)})
        assert not unfounded(cells, known), source


def _names(source: str) -> int:
    """Leading columns whose digits are names."""
    return 1 if "patients.csv" in source or "errors" in source else 0


def test_a_changed_csv_would_be_noticed(page: Path):
    source, rows = next(t for t in tables_of(page) if t[0] == "tables/subgroups-ER.csv")
    known = numbers_in(page.parent / source)
    assert unfounded(["0.123456"], known) == ["0.123456"]
    assert rows


def test_subgroups_on_the_page_are_those_of_the_function(page: Path):
    content = full_report()
    rows = content.predictions
    rows = rows[(rows["target"] == "ER") & (rows["method"] == "mkd")]
    # Who is positive for ER is positive for PR here, so that no AUC is within its levels.
    groups = {k: v for k, v in content.evidence.groups.items() if k not in ("ER", "PR")}
    assert "No subgroups by PR: none of its 2 levels has patients of two" in page.read_text()
    expected = subgroup_table(runs_of(rows, "student", ("negative", "positive")), groups)
    written = pd.read_csv(page.parent / "tables" / "subgroups-ER.csv")
    assert written["estimate"].to_numpy() == pytest.approx(
        expected["estimate"].to_numpy(), nan_ok=True
    )
    assert set(written["subgroup"]) == {"Site", "Age"}
    (told,) = (rows for source, rows in tables_of(page) if source == "tables/subgroups-ER.csv")
    tests = [row[0] for row in told if len(row) == 1]
    assert tests[0].startswith("Site: p interaction 0.")
    assert tests[1:] == ["Age: not tested, fewer than two levels have a figure"]


def test_points_and_errors_lead_to_their_patients(page: Path):
    text = page.read_text()
    targets = set(re.findall(r'<tr id="(p\d+)">', text))
    links = set(re.findall(r'href="#(p\d+)"', text))
    assert links == targets
    everything = set(re.findall(r'id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= everything


def test_the_method_in_depth_is_the_first_of_the_run_or_the_one_named(page: Path, tmp_path: Path):
    assert "ER in depth: mkd (slides only)" in page.read_text()
    table = two_class(30, networks=("student", "genomic"))
    named = Report("Named", table, depth="abmil genomic")
    assert "ER in depth: abmil (genomics only)" in _text(tmp_path, named)


def test_many_methods_are_in_the_tables_and_eight_in_the_figures():
    methods = tuple((f"m{k:02d}", 1.0) for k in range(12))
    first = drawn_methods(two_class(12, methods), ("m11", "unknown", "m03"))
    assert first == ["m00", "m01", "m02", "m03", "m04", "m05", "m06", "m11"]


def test_twelve_patients_are_too_few_to_say_and_the_page_says_so(tmp_path: Path):
    table = two_class(12)
    sites = pd.Series(["A", "B"] * 6, sorted(table["PATIENT"].unique()))
    known = Evidence(patients=sites.to_frame("site"), groups={"Site": sites})
    text = _text(tmp_path, Report("Twelve", table, evidence=known))
    assert text.count("too few to say") >= 2
    assert "cannot be certified by 8 positive patients" in text
    assert "fewer than two sites have ten patients" in text


def test_without_sites_or_anything_else_the_page_is_whole(tmp_path: Path):
    text = _text(tmp_path, Report("Bare", two_class(60)))
    assert "Flow of the cohort" not in text
    assert "Subgroups" not in text
    assert "fewer than two sites" in text


def test_a_class_that_a_stratum_lacks(tmp_path: Path):
    table = two_class(60)
    labels = table.drop_duplicates("PATIENT").set_index("PATIENT")["label"]
    column = labels.where(labels == "positive", "mixed").where(np.arange(60) % 2 == 0, "mixed")
    text = _text(tmp_path, Report("Lacking", table, evidence=Evidence(groups={"G": column})))
    subgroups = pd.read_csv(tmp_path / "tables" / "subgroups-ER.csv").set_index("level")
    assert subgroups.loc["positive", "note"] == "too few to say"
    assert not (tmp_path / "tables" / "strata-ER.csv").exists()
    assert "too few to say" in text


def test_columns_that_were_named_and_tell_nothing_are_told(tmp_path: Path):
    table = two_class(60)
    names = sorted(table["PATIENT"].unique())
    labels = table.drop_duplicates("PATIENT").set_index("PATIENT")["label"]
    groups = {
        "ER": labels,
        "Code": labels.map({"positive": 1, "negative": 0}),
        "Remarks": pd.Series([f"remark {k}" for k in range(60)], names),
        "Day": pd.Series([f"2020-01-{1 + k % 28:02d}" for k in range(60)], names),
        "Same": pd.Series("x", names),
        "Empty": pd.Series(np.nan, names),
        "Half": pd.Series(["a", "b"] * 30, names),
    }
    known = Evidence(groups=groups, asked=frozenset(groups), clinical=pd.DataFrame(groups))
    text = _text(tmp_path, Report("Columns", table, evidence=known))
    assert set(pd.read_csv(tmp_path / "tables" / "subgroups-ER.csv")["subgroup"]) == {"Half"}
    assert set(pd.read_csv(tmp_path / "tables" / "strata-ER.csv")["column"]) == {"Half"}
    why = {
        "ER": "none of its 2 levels has patients of two classes",
        "Code": "none of its 2 levels has patients of two classes",
        "Remarks": "60 values for 60 patients, none of them of 10 patients",
        "Day": "28 values for 60 patients, none of them of 10 patients",
        "Same": "all 60 patients who have a value are in one level (x)",
        "Empty": "no value for any of these 60 patients",
    }
    for name, sentence in why.items():
        assert f"No subgroups by {name}: {sentence}" in text
        assert f"Not in the clinical model: {name}: {sentence}" in text
    assert "Gain over Half" in text
    unnamed = Evidence(groups={"ER": labels, "Half": groups["Half"]})
    assert "No subgroups by" not in _text(tmp_path, Report("Unnamed", table, evidence=unnamed))


def test_a_clinical_model_of_nothing_but_the_label_is_none(tmp_path: Path):
    table = two_class(60)
    label = table.drop_duplicates("PATIENT").set_index("PATIENT")["label"].rename("Label")
    text = _text(tmp_path, Report("L", table, evidence=Evidence(clinical=label.to_frame())))
    assert "Not in the clinical model: Label: none of its 2 levels" in text
    assert "name its columns" not in text
    assert not (tmp_path / "tables" / "gain-ER.csv").exists()


def test_code_in_a_sentence_is_code_on_the_page(tmp_path: Path):
    checks = pd.DataFrame(
        {"Check": ["a <b>"], "Found": ["`splits: seal`"], "Where": ["one ` alone"]}
    )
    text = _text(tmp_path, Report("Code", two_class(30), evidence=Evidence(checks=checks)))
    assert "<td>a &lt;b&gt;</td><td><code>splits: seal</code></td><td>one ` alone</td>" in text


def test_three_classes_in_depth(tmp_path: Path):
    table = three_class(60)
    groups = {"G": pd.Series(["a", "b"] * 30, sorted(table["PATIENT"].unique()))}
    text = _text(tmp_path, Report("PAM50", table, evidence=Evidence(groups=groups)))
    assert "PAM50 in depth: mkd (slides only)" in text
    assert "Probability of the patient&#39;s class" in text
    assert "Decision curve" not in text
    assert "Subgroups" in text
    assert "Patients (positive / negative)" not in text


def test_one_class_alone_in_an_external_cohort(tmp_path: Path):
    table = two_class(30, networks=("student",)).assign(fold=0)
    only = check_predictions(table[table["label"] == "positive"], "simulated")
    text = _text(tmp_path, Report("Alone", only, external=True))
    assert "ER in depth" in text
    assert "Decision curve" not in text


def _text(folder: Path, report: Report) -> str:
    return write_report(folder, report, n_resamples=20).read_text()


def test_a_large_cohort_has_as_many_points_as_there_is_room_for():
    generator = np.random.default_rng(0)
    p = pd.Series(generator.random(6000), [f"P{k:04d}" for k in range(6000)])
    answers = pd.DataFrame(
        {"label": np.where(p > 0.4, "b", "a"), "p": p, "wrong": p.between(0.4, 0.45)}
    )
    answers["wrong"] = answers["wrong"].astype(float)
    drawn = distribution(answers, ("a", "b"), {name: name for name in p.index})
    points = [point for lane in drawn.lanes for point in lane.points]
    assert len(points) <= MOST_POINTS + 500
    assert drawn.left_out == 6000 - len(points)
    assert sum(point.wrong for point in points) == int(answers["wrong"].sum())
    assert [lane.n for lane in drawn.lanes] == [int((answers["label"] == n).sum()) for n in "ba"]


def test_checklists_link_what_the_page_holds_and_leave_the_rest_to_the_author(page: Path):
    text = (page.parent / "checklists.md").read_text()
    anchors = set(re.findall(r'id="([^"]+)"', page.read_text()))
    assert set(re.findall(r"report\.html#([\w-]+)", text)) <= anchors
    assert "| 17 | Ethical approval and consent | yours to write |" in text
    bare = {item.n: item for item in filled_checklists({})[0].items}
    assert {item.state for item in bare.values()} == {"yours to write"}
    assert len(bare) == 27
    assert "| 20 | Participants: flow and characteristics | from this run |" in text


def test_what_was_explained_is_shown_and_kept(page: Path):
    text = page.read_text()
    assert "Genes that drive the genomic network, for positive" in text
    assert "<td>G11</td>" in text
    assert "<td>G12</td>" not in text
    assert len(pd.read_csv(page.parent / "tables" / "explained-genes.csv")) == 20
    verdicts = pd.read_csv(page.parent / "tables" / "explained-verdicts.csv")
    assert verdicts["patients"].tolist() == [2, 1]


def test_names_lead_to_the_viewer_where_there_is_one(tmp_path: Path):
    table = two_class(12).assign(PATIENT=lambda t: t["PATIENT"] + " /ä")
    text = _text(tmp_path, Report("Linked", table, viewer="http://127.0.0.1:8765/"))
    assert 'href="http://127.0.0.1:8765/patient?id=P000%20%2F%C3%A4"' in text
    assert "http" not in _text(tmp_path, Report("Alone", table)).replace("http://www.w3.org", "")


def test_slides_of_the_worst_errors_come_first_and_small(tmp_path: Path):
    names = [f"P{k:03d}" for k in range(60)]
    for name in names[:30]:
        noise = np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    maps = {name: SlideMap(tmp_path / f"{name}.png", "student") for name in names[:30]}
    anchors = {name: name.lower() for name in names}
    shown = thumbnails(maps | {"other": maps["P000"]}, ["P050", "P007", "P003", "P007"], anchors)
    assert [each.patient for each in shown[:3]] == ["P007", "P003", "P000"]
    assert [each.error for each in shown[:3]] == [True, True, False]
    assert len(shown) == 12
    assert "other" not in {each.patient for each in shown}
    for each in shown:
        content = base64.b64decode(each.source.partition(",")[2])
        with Image.open(io.BytesIO(content)) as picture:
            assert max(picture.size) <= 420
    many = thumbnails(maps, names, anchors)
    assert sum(each.error for each in many) == 12
