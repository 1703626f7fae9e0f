"""Sphinx's settings: `make docs` builds the site, strictly, into build/docs."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "histodistill"
author = "the histodistill authors"
copyright = author
version = release = _PROJECT["project"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "generated_pages",
    "mathml",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext"]
nitpicky = False
# The site is read without a network: nothing is loaded from another host, so equations are MathML.
html_theme = "pydata_sphinx_theme"
html_title = f"histodistill {release}"
html_theme_options = {
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["research-use"],
    "secondary_sidebar_items": ["page-toc"],
}
templates_path = ["_templates"]
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_prompt_text = "$ "
