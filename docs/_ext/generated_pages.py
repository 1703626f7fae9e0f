"""What is written from the code itself: every setting, command and method, the rooms."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from command_pages import command_page
from methods_tables import tables
from rooms_picture import rooms_picture
from settings_pages import extraction_page, settings_page


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "settings.md": settings_page(),
        "extraction.md": extraction_page(),
        "commands.md": command_page(),
        "rooms.svg": rooms_picture(),
        **tables(),
    }
    for name, text in made.items():
        page = folder / name
        # An unchanged page keeps its date, so that it is not built again.
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
