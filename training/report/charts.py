"""Charts as inline SVG, in the page's text colour and font; the palette of Okabe and Ito suits the colour-blind."""

import re
from html import escape
from io import StringIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#808080"
"""Readable on white and on near black."""
styled = rc_context(
    {
        "svg.fonttype": "none",
        "font.size": 10,
        "axes.labelsize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": "black",
        "ytick.labelcolor": "black",
        "grid.color": GREY,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.linewidth": 1.8,
    }
)
"""Decorator of functions that draw in this style."""
WIDTH, HEIGHT, TALL_HEIGHT = 4.4, 3.4, 4.4
"""Sizes of charts in inches: narrow, so that text stays readable on a phone."""
PERCENT = PercentFormatter(1, decimals=0)


def svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element. `label` says in words what it shows, for screen readers."""
    out = StringIO()
    with rc_context({"svg.hashsalt": label}):  # ids are the same in every run, and differ between charts
        figure.savefig(out, format="svg", transparent=True)
    content = out.getvalue().partition("<svg")[2].partition(">")[2]
    content = re.sub(r"<(metadata|style).*?</\1>", "", content, flags=re.S)
    content = re.sub(r'<g id="[^"]*"', "<g", content).replace("#000000", "currentColor")
    width, height = figure.get_size_inches() * 72
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.1f} {height:.1f}">{content}'


def new_figure(height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one plot; height in inches."""
    figure = Figure((WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()
