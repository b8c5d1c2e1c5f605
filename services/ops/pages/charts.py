"""Charts as static SVG, drawn by pygal without its style sheet and scripts: the page's own style sheet colours them.

A picture is never alone: it has its numbers beside it, as a table, for whoever cannot see it or wants to copy them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import pygal
from markupsafe import Markup
from pygal.style import Style

from services.ops.words import plain

SERIES = 8  # that have a colour of their own, in templates/style.css
WIDTH, HEIGHT = 480, 230  # of the drawing, in units that the page scales to its width
_FONT = 14
_LABELS = 4  # at most, below the horizontal axis
_FAMILY = "system-ui, sans-serif"
_FOR_SCRIPTS = {"defs", "desc", "title", ElementTree.Comment}
_OVERLAYS = {"plot text-overlay", "plot tooltip-overlay"}

Value = float | int | None
Series = tuple[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its numbers: `labels` along the horizontal axis, and for each series one value a label."""

    title: str
    svg: Markup
    labels: Sequence[str]
    series: Sequence[Series]

    @property
    def rows(self) -> list[list[str]]:
        """The numbers: a label, then the value of each series."""
        return [[label, *(as_text(values[at]) for _, values in self.series)] for at, label in enumerate(self.labels)]


def bars(title: str, labels: Sequence[str], series: Sequence[Series]) -> Picture:
    """Bars, one for each label, of the series on top of each other.

    Args:
        title: what is counted, and in which unit.
        labels: along the horizontal axis; a few of them are shown.
        series: at most `SERIES`, each with a value for each label; None where there is none.

    Raises:
        ValueError: there are more series than colours, or a series has another length than the labels.
    """
    return _draw(pygal.StackedBar, title, labels, series)


def lines(title: str, labels: Sequence[str], series: Sequence[Series]) -> Picture:
    """Lines over the labels, such as a measure of run after run; arguments and errors as `bars` has them."""
    return _draw(pygal.Line, title, labels, series)


def as_text(value: Value) -> str:
    """A number for people; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _short(value: float) -> str:
    """A number at an axis: `12k` and not `12,000`."""
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{name}"
    return f"{value:.4g}"


def _draw(
    kind: Callable[..., pygal.graph.graph.Graph], title: str, labels: Sequence[str], series: Sequence[Series]
) -> Picture:
    if len(series) > SERIES:
        raise ValueError(f"{len(series)} series are more than the {SERIES} that have a colour: put some together")
    if wrong := [name for name, values in series if len(values) != len(labels)]:
        raise ValueError(f"{wrong[0]}: has another number of values than there are labels ({len(labels)})")
    labels = [plain(label) for label in labels]
    series = [(plain(name), values) for name, values in series]
    chart = kind(
        css=(),
        js=(),
        width=WIDTH,
        height=HEIGHT,
        margin=4,
        margin_right=28,  # half of a label may be there
        spacing=6,
        show_legend=False,  # the page has it beside the drawing, as text that wraps
        show_minor_x_labels=False,
        x_labels_major_every=max(1, -(-len(labels) // _LABELS)),
        truncate_label=-1,
        max_scale=6,
        include_x_axis=True,
        value_formatter=_short,
        style=Style(font_family=_FAMILY, label_font_size=_FONT, major_label_font_size=_FONT),
    )
    chart.x_labels = labels
    for name, values in series:
        chart.add(name, list(values), formatter=as_text)
    return Picture(title, _svg(chart, title), labels, series)


def _svg(chart: pygal.graph.graph.Graph, title: str) -> Markup:
    """The drawing alone: no script, no style, nothing that only pygal's script reads. Each value has its tooltip."""
    root: ElementTree.Element = chart.render_tree()
    root.attrib = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "class": "chart",
        "role": "img",
        "aria-label": f"{plain(title)}. The numbers are in the table below.",
    }
    for parent in list(root.iter()):
        told = [
            child.text or "" for name in ("x_label", "value") for child in parent.iterfind(f"desc[@class='{name}']")
        ]
        for child in list(parent):
            if child.tag in _FOR_SCRIPTS or child.get("class") in _OVERLAYS:
                parent.remove(child)
        if told:
            ElementTree.SubElement(parent, "title").text = ": ".join(told)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (the serializer escapes every text)
