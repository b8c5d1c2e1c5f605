"""Templates into one HTML file that needs nothing else: its style is in it, and it holds no script and no address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.ops.words import plain, size, span
from services.ops.writing import write_whole

TEMPLATES = Path(__file__).parent / "templates"  # base.html, parts.html (tables, figures), style.css


def render(template: Path, values: Mapping[str, Any]) -> str:
    """A page from a template that extends `base.html`. Every value is escaped.

    Args:
        template: a file; others beside it, and those of this package, may be included.
        values: by name. `{{ x | plain }}` shows text from anywhere on one line, with nothing hidden.

    Raises:
        jinja2.TemplateError: the template is wrong, or asks for a value that is not there.
    """
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        undefined=StrictUndefined,
        finalize=_checked,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "number": _number, "size": size, "moment": _moment, "span": span}
    text: str = environment.get_template(template.name).render(values)
    return text


def write_page(file: Path, text: str) -> None:
    """Write a page as a whole, or not at all: who reads it meanwhile sees the last one.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    write_whole(file, text)


def _checked(value: object) -> object:
    """A value that is about to be written. A function is none: `{{ x.keys }}` of a mapping is its method."""
    if isinstance(value, BuiltinMethodType | MethodType | FunctionType):
        raise TypeError(f"a template writes a function, {value!r}: name the value otherwise")
    return value


def _number(value: int) -> str:
    return f"{value:,}"


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
