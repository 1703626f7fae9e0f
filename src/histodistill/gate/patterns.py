"""Regular expressions of others, which could be made to match for ever."""

from __future__ import annotations

import re

from histodistill.errors import InputError

_LONGEST = 200
# A match tries at most (length of a name)^choices ways.
_CHOICES = 4

_ESCAPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{)")
# What gives nothing back once it has matched (``a++``) is tried in one way.
_ONE_WAY = re.compile(r"(?:[*+?]|\{\d*,\d*\})\+|\{\d+\}")
_CHOICE = re.compile(r"(?<!\()(?:[*+?]|\{\d*,\d*\})\??|\|")
_COUNTED_GROUP = re.compile(r"\((?:\?(?::|P<\w+>))?([^()]*)\)\{(\d)\}")


def require_bounded_pattern(pattern: str, source: str, remedy: str) -> None:
    """Refuse an expression that may take more than moments for a name.

    Expressions that repeat a group, such as ``(a+)+$``, take time that grows exponentially with the
    name, and those with many choices take its power; what finds a patient in a name needs neither.
    A group that is repeated a few times exactly is as the group written so often.

    Args:
        pattern: The regular expression.
        source: Where it comes from, for the message.
        remedy: What to do instead.

    Raises:
        InputError: It is long, repeats a group, or has many choices.
    """
    bare = _written_out(_ESCAPED.sub("x", pattern[: _LONGEST + 1]))
    if len(pattern) > _LONGEST:
        fault = f"has {len(pattern):,} characters"
    elif _REPEATED_GROUP.search(bare):
        fault = "repeats a group"
    elif len(_CHOICE.findall(_ONE_WAY.sub("", bare))) > _CHOICES:
        fault = f"has more than {_CHOICES} repetitions and choices"
    else:
        return
    shown = pattern if len(pattern) <= _LONGEST else f"{pattern[:40]}..."
    raise InputError(
        f"{source}: the pattern '{shown}' {fault}, and could take for ever on a name; {remedy}"
    )


def _written_out(bare: str) -> str:
    """The expression with the groups that are repeated exactly written as often, inner ones first.

    What would grow too long stays as it is, and repeats a group.
    """
    while (found := _COUNTED_GROUP.search(bare)) is not None:
        whole = bare[: found.start()] + found[1] * int(found[2]) + bare[found.end() :]
        if len(whole) > _LONGEST:
            return bare
        bare = whole
    return bare
