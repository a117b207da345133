"""Charts as inline SVG: in the page's own text colour and font, and a palette for the colour-blind (Okabe and Ito)."""

import re
from html import escape
from io import StringIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#808080"
"""All stand out from white and from near black."""
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
"""Makes a function draw in this style."""
WIDTH, HEIGHT, TALL = 4.4, 3.4, 4.4
"""Inches: narrow, so that type stays readable on a phone."""
PERCENT = PercentFormatter(1, decimals=0)


def svg(figure: Figure, label: str) -> str:
    """The figure to put in a page, `label` being what it shows, in words."""
    out = StringIO()
    with rc_context({"svg.hashsalt": label}):  # the same chart, the same ids; and another chart, others
        figure.savefig(out, format="svg", transparent=True)
    inside = re.sub(r"<(metadata|style).*?</\1>", "", out.getvalue().partition("<svg")[2].partition(">")[2], flags=re.S)
    inside = re.sub(r'<g id="[^"]*"', "<g", inside).replace("#000000", "currentColor")
    width, height = figure.get_size_inches() * 72
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.1f} {height:.1f}">{inside}'


def canvas(height: float = HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure((WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()
