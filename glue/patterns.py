"""A contract's regular expressions, which Python defines, as Java reads them."""

from __future__ import annotations

import re

# Java's \d, \w and \s know ASCII only, Python's do not; to Java's `.` and `$`, \r and U+2028 end a line, too.
_AS_PYTHON = "(?Ud)"
_ESCAPE = re.compile(r"\\(?:U([0-9a-fA-F]{8})|.)", re.DOTALL)
_TIMES = re.compile(r"\{(\d+(?:,\d*)?|,\d*)\}")
_NAMED = re.compile(r"\(\?P(?:<(\w+)>|=(\w+)\))")
_IN_A_CLASS = set("[&#")  # a class inside of it, an intersection, a comment: to Java, not to Python


def in_java(pattern: str) -> str:
    """The pattern so that Java finds what Python finds, where both know all of it.

    The end of a text, names of groups, `{,3}`, braces that are no number, and `[`, `&&` and blanks within a class.
    """
    names: dict[str, str] = {}
    told, at, first = [_AS_PYTHON], 0, -1  # `first`: where the class begins that we are in
    while at < len(pattern):
        one = pattern[at]
        if escape := _ESCAPE.match(pattern, at):
            told.append(_escaped(escape, first >= 0))
            at = escape.end()
            continue
        if first >= 0:
            if one == "]" and at > first:
                first = -1
                told.append(one)
            else:
                told.append(f"\\{one}" if one in _IN_A_CLASS or one == "]" or one.isspace() else one)
        elif one == "[":
            told.append("[^" if pattern.startswith("[^", at) else "[")
            at += len(told[-1])
            first = at
            continue
        elif one == "{":
            if times := _TIMES.match(pattern, at):
                told.append("{" + ("0" if times[1].startswith(",") else "") + times[1] + "}")
                at = times.end()
                continue
            told.append("\\{")
        elif named := _NAMED.match(pattern, at):
            name = names.setdefault(named[1] or named[2], f"g{len(names)}")  # Java's names have no underscore
            told.append(f"(?<{name}>" if named[1] else f"\\k<{name}>")
            at = named.end()
            continue
        else:
            told.append(one)
        at += 1
    return "".join(told)


def _escaped(escape: re.Match[str], in_class: bool) -> str:
    if escape[1]:
        return f"\\x{{{escape[1]}}}"
    if escape[0] == r"\Z":  # Java's \\Z is Python's `$`; its \\z is Python's \\Z
        return r"\z"
    if in_class and escape[0] == r"\b":
        return r"\x08"
    return escape[0]
