"""Pages: every value escaped, written as a whole or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import jinja2
import pytest

from services.ops.pages.page import render, write_page


def page(folder: Path, body: str, **values: object) -> str:
    template = folder / "some.html"
    template.write_text('{% extends "base.html" %}{% block body %}' + body + "{% endblock %}", "utf-8")
    return render(template, values)


def test_values_are_escaped(tmp_path):
    text = page(tmp_path, '<p title="{{ x }}">{{ x }}</p>', x='"><script>alert(1)</script>')
    assert "<script" not in text and "&lt;script&gt;" in text and '"">' not in text


def test_what_is_hidden_in_text_is_shown(tmp_path):
    text = page(tmp_path, "<p>{{ x | plain }}</p>", x="a\u202eb\x00c\ud800d\ne\U000e0041")
    assert r"a\u202eb\x00c\ud800d\x0ae\U000e0041" in text


def test_a_value_that_is_not_there_is_an_error_and_not_an_empty_place(tmp_path):
    with pytest.raises(jinja2.UndefinedError):
        page(tmp_path, "{{ missing }}")


def test_a_function_is_no_value(tmp_path):
    with pytest.raises(TypeError, match="writes a function"):
        page(tmp_path, "{{ x.keys }}", x={"keys": 1})


def test_a_page_asks_for_nothing_and_forbids_scripts(tmp_path):
    text = page(tmp_path, "")
    assert "default-src 'none'" in text and "script-src" not in text
    assert "http://" not in text and "https://" not in text and "url(" not in text


def test_times_are_shown_in_utc(tmp_path):
    at = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert "2025-12-31 23:00:00" in page(tmp_path, "{{ x | moment }}", x=at)


def test_a_page_that_cannot_be_written_leaves_the_last_one(tmp_path):
    file = tmp_path / "deep" / "page.html"
    write_page(file, "first")
    with pytest.raises(UnicodeEncodeError):
        write_page(file, "\ud800")
    assert file.read_text() == "first" and [one.name for one in file.parent.iterdir()] == ["page.html"]


def test_a_table_names_its_columns_in_every_cell_for_narrow_screens(tmp_path):
    text = page(
        tmp_path,
        '{% from "parts.html" import table %}{{ table("", ["name", "rows"], [["<a>", "1"]], right=["rows"]) }}',
    )
    assert '<td role="cell" data-label="name">&lt;a&gt;</td>' in text
    assert '<td role="cell" data-label="rows" class="right">1</td>' in text


def test_an_empty_table_says_so(tmp_path):
    text = page(tmp_path, '{% from "parts.html" import table %}{{ table("", ["a"], [], empty="No rows yet.") }}')
    assert "No rows yet." in text and "<table" not in text
