"""Regular expressions of others, which could be made to match for ever."""

from __future__ import annotations

import re

from histodistill.errors import InputError

_LONGEST = 200
# A match tries at most (length of a name)^choices ways.
_CHOICES = 4

_ESCAPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{)")
_FIXED_COUNT = re.compile(r"\{\d+\}")
_CHOICE = re.compile(r"(?<!\()(?:[*+?]|\{\d*,\d*\})[?+]?|\|")


def require_bounded_pattern(pattern: str, source: str, remedy: str) -> None:
    """Refuse an expression that may take more than moments for a name.

    Expressions that repeat a group, such as ``(a+)+$``, take time that grows exponentially with the
    name, and those with many choices take its power; what finds a patient in a name needs neither.

    Args:
        pattern: The regular expression.
        source: Where it comes from, for the message.
        remedy: What to do instead.

    Raises:
        InputError: It is long, repeats a group, or has many choices.
    """
    bare = _ESCAPED.sub("x", pattern)
    if len(pattern) > _LONGEST:
        fault = f"has {len(pattern):,} characters"
    elif _REPEATED_GROUP.search(bare):
        fault = "repeats a group"
    elif len(_CHOICE.findall(_FIXED_COUNT.sub("", bare))) > _CHOICES:
        fault = f"has more than {_CHOICES} repetitions and choices"
    else:
        return
    shown = pattern if len(pattern) <= _LONGEST else f"{pattern[:40]}..."
    raise InputError(
        f"{source}: the pattern '{shown}' {fault}, and could take for ever on a name; {remedy}"
    )
