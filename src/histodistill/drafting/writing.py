"""Settings as YAML that explains itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from histodistill.drafting.setting import Setting

_WIDTH = 96
_STEP = "  "


def yaml_text(settings: Sequence[Setting], head: Sequence[str]) -> str:
    """The settings as the text of a file, a comment above each that has a reason.

    Args:
        settings: The settings, in order.
        head: Sentences at the top of the file.
    """
    lines = [*_comments(head, "")]
    for setting in settings:
        lines += ["", *_lines(setting, "")]
    return "\n".join(lines) + "\n"


def on_one_line(value: Any) -> str:
    """A value in YAML's flow style."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _lines(setting: Setting, indent: str) -> Iterator[str]:
    yield from _comments(setting.why, indent)
    yield from _comments([f"DECIDE: {sentence}" for sentence in setting.decide], indent)
    # A section that is still empty has its suggestions inside, to be taken in.
    is_section = bool(setting.below) or setting.value == {}
    if is_section:
        yield f"{indent}{on_one_line(setting.key)}:"
        for below in setting.below:
            yield from _lines(below, indent + _STEP)
    else:
        yield f"{indent}{on_one_line(setting.key)}: {on_one_line(setting.value)}"
    inside = indent + _STEP if is_section else indent
    yield from (f"{inside}# {_printable(line)}" for line in setting.instead)


def _comments(sentences: Sequence[str], indent: str) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(
            _printable(sentence),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _printable(text: str) -> str:
    """Text that stays within its comment, and that YAML allows there."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
