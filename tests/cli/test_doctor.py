"""`doctor` fits a terminal, and a script."""

from __future__ import annotations

import json

from tests.cli.command_line import succeed


def test_all_sections_fit_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    told = succeed("doctor").stdout
    lines = told.splitlines()
    for title in ("Versions", "Extras", "Machine", "Acceleration", "Slides and encoders"):
        assert title in lines
    assert "Folders" in lines
    assert max(map(len, lines)) <= 80
    assert "…" not in told


def test_a_script_reads_the_same():
    result = succeed("doctor", "--json")
    found = json.loads(result.stdout)
    assert {"versions", "extras", "machine", "acceleration", "slides", "folders"} <= set(found)
    assert found["versions"]["histodistill"]
    assert found["problems"] == []
    assert "Versions" in result.stderr
