"""What the wheel will hold, as setuptools plans it; `make wheel-check` installs it and runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from setuptools import Distribution

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "histodistill"


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_the_package_is_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    planned = {Path(path).relative_to(command.build_lib) for path in command.get_outputs(False)}
    files = {
        path.relative_to(PACKAGE.parent)
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {path.suffix for path in files} >= {".py", ".pyi", ".cpp", ".jinja"}
    assert files - planned == set()
