"""Figures for narrow screens: names that would leave no room are abridged."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

LONGEST = 24  # characters of a name beside an axis
WIDEST = 30  # of a title or an entry of a legend


def abridge(figure: Figure) -> None:
    """Shortens the names at axes, titles and legends; the table has them whole."""
    places = (axes.get_subplotspec() for axes in figure.axes)
    abreast = len({place.colspan.start for place in places if place is not None}) > 1
    for axes in figure.axes:
        _abridge_ticks(axes)
        axes.set_xlabel(short(axes.get_xlabel(), LONGEST) if abreast else axes.get_xlabel())
        axes.set_title(short(axes.get_title(loc="left"), WIDEST), loc="left")
        for child in axes.child_axes:  # second axes, which say what there is no room for
            child.set_visible(False)
    for legend in figure.legends:
        for text in legend.get_texts():
            text.set_text(short(text.get_text(), WIDEST + 10))


def _abridge_ticks(axes: Axes) -> None:
    labels: list[Text] = axes.get_yticklabels()
    texts = [label.get_text() for label in labels]
    if max(map(len, texts), default=0) <= LONGEST:
        return
    bold = [label.get_fontweight() for label in labels]
    axes.set_yticks(axes.get_yticks(), [short(text, LONGEST) for text in texts])
    for label, weight in zip(axes.get_yticklabels(), bold, strict=True):
        label.set_fontweight(weight)


def short(text: str, longest: int) -> str:
    """The beginning and, as names differ there most, more of the end."""
    if len(text) <= longest:
        return text
    head = longest // 3
    return f"{text[:head]}…{text[head + 1 - longest :]}"
