"""Charts: drawings without scripts and styles of their own, with their numbers beside them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from services.ops.pages.charts import SERIES, bars, lines

LABELS = [f"2026-01-{day:02d}" for day in range(1, 31)]


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 (we made it)


def elements(svg: str) -> list[ElementTree.Element]:
    return list(parsed(svg).iter())


def test_a_bar_for_each_value_says_its_label_and_its_exact_number():
    picture = bars("Rows", ["Monday", "Tuesday"], [("a", [1234567, 2]), ("b", [3, None])])
    titles = {one.text for one in elements(picture.svg) if one.tag == "title"}
    assert {"Monday: 1,234,567", "Tuesday: 2", "Monday: 3"} <= titles
    assert picture.rows == [["Monday", "1,234,567", "3"], ["Tuesday", "2", ""]]


def test_bars_are_stacked():
    drawn = [one for one in elements(bars("Rows", ["Monday"], [("a", [10]), ("b", [30])]).svg) if one.tag == "rect"]
    low, high = (one for one in drawn if "rect" in one.get("class", "").split())
    assert float(low.get("y", 0)) == pytest.approx(float(high.get("y", 0)) + float(high.get("height", 0)))
    assert float(high.get("height", 0)) == pytest.approx(3 * float(low.get("height", 0)))


def test_a_line_has_a_point_for_each_value_and_none_where_there_is_none():
    picture = lines("Percent", ["a", "b", "c"], [("passed", [99.5, None, 97.25])])
    assert sum(one.tag == "circle" for one in elements(picture.svg)) == 2
    assert [row[1] for row in picture.rows] == ["99.5", "", "97.25"]


@pytest.mark.parametrize("draw", [bars, lines])
def test_a_drawing_has_no_script_no_style_and_nothing_that_only_a_script_reads(draw):
    svg = draw("Rows", LABELS, [("a", list(range(30))), ("b", [1] * 30)]).svg
    assert {one.tag for one in elements(svg)} <= {"svg", "g", "rect", "path", "text", "title", "circle"}
    assert not any(name in svg for name in ("<script", "<style", "http", "tooltip-box", "chart-"))
    assert len(svg) < 30_000


@pytest.mark.parametrize("draw", [bars, lines])
def test_the_same_values_give_the_same_drawing(draw):
    assert draw("Rows", LABELS, [("a", [1] * 30)]).svg == draw("Rows", LABELS, [("a", [1] * 30)]).svg


def test_names_are_escaped_and_what_is_hidden_in_them_is_shown():
    picture = bars('<script>"', ["</svg><script>x</script>", "\u202eb"], [("<b>&\x1b[2J", [1, 2])])
    assert "<script" not in picture.svg and "\u202e" not in picture.svg and "\x1b" not in picture.svg
    assert picture.series[0][0] == "<b>&\\x1b[2J" and picture.labels[1] == "\\u202eb"
    assert parsed(picture.svg) is not None


def test_a_drawing_says_what_it_shows_and_where_its_numbers_are():
    root = parsed(bars("Rows loaded", ["a"], [("x", [1])]).svg)
    assert root.get("role") == "img" and root.get("aria-label", "").startswith("Rows loaded.")


def test_more_series_than_colours_are_refused():
    with pytest.raises(ValueError, match="put some together"):
        bars("Rows", ["a"], [(str(nth), [1]) for nth in range(SERIES + 1)])


def test_a_series_of_another_length_is_refused():
    with pytest.raises(ValueError, match="another number of values"):
        lines("Rows", ["a", "b"], [("x", [1])])


def test_no_values_at_all_are_an_empty_drawing():
    assert bars("Rows", [], []).rows == []
