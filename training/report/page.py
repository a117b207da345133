"""HTML of a self-contained page: styles, tables and charts. Text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from training.statistics import Estimate

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

CSS = """
:root { color-scheme: light; --ink: #1b1f24; --paper: #fff; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --ink: #e6e8ea; --paper: #15181c; } }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 3rem; border-top: 1px solid #8888; padding-top: 1rem; break-after: avoid; }
p, li { max-width: 46rem; }
h1 + p { font-size: 1.15rem; font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; break-inside: avoid; }
figcaption, details { margin-top: .5rem; }
figcaption, caption, summary, table { font-size: .9rem; }
svg { display: block; width: 100%; max-width: 30rem; }
svg text { fill: currentColor; font-family: inherit !important; }
.scroll { position: relative; overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .4rem; text-align: left; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; min-width: 4rem; }
tr { border-bottom: 1px solid #8888; break-inside: avoid; }
tbody th { font-weight: inherit; }
code { overflow-wrap: anywhere; }
"""


def document(title: str, *sections: str) -> str:
    """A complete HTML page; `sections` are HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{"".join(sections)}
</body>
</html>
"""


def heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>\n"


def paragraph(text: str, tag: str = "p") -> str:
    return f"<{tag}>{escape(text)}</{tag}>\n"


def bullet_list(texts: Iterable[str]) -> str:
    return f"<ul>\n{''.join(paragraph(text, 'li') for text in texts)}</ul>\n"


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways on narrow screens; the first cell of a row is its header."""
    header_cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row_header)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>\n'
        for row_header, *cells in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{header_cells}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def format_estimate(estimate: Estimate, number_format: str) -> str:
    """The estimate with its interval, if it has one, on one line of a table."""
    mean, low, high = (format(number, number_format) for number in estimate)
    return mean if low == high else f"{mean} ({low}{NO_BREAK_SPACE}to{NO_BREAK_SPACE}{high})"


def collapsible(summary: str, content: str) -> str:
    """HTML content that is shown when the reader opens its summary."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>\n"


def figures(charts: Iterable[tuple[str, str]]) -> str:
    """A grid of (SVG, caption) pairs."""
    items = "".join(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n" for svg, caption in charts)
    return f'<div class="charts">\n{items}</div>\n'
