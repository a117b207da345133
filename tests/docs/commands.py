"""The commands that README and docs show, and how each is tried."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")})
PYTHON = ".venv/bin/python"


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced code blocks of a page in `language`; without one, they hold commands."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block_language, block in fenced if block_language == language]


def commands(text: str) -> Iterator[list[str]]:
    """Each command as its words, without comments; a quoted word may go on over several lines."""
    for block in blocks(text):
        pending = ""
        for line in block.splitlines():
            pending += line + "\n"
            try:
                words = shlex.split(pending, comments=True)
            except ValueError:  # a quote is open
                continue
            pending = ""
            if words:
                yield words
        assert not pending, f"a quote is not closed in: {pending}"


def inline_commands(text: str) -> Iterator[list[str]]:
    """Commands within a sentence, in backticks."""
    for command in re.findall(rf"`((?:make|{re.escape(PYTHON)}) [^`]+)`", text):
        yield shlex.split(command)


def shown() -> dict[str, list[str]]:
    """The words of every command that a page shows, once each, by its text."""
    pages = [page.read_text() for page in PAGES]
    return {shlex.join(words): words for page in pages for words in (*commands(page), *inline_commands(page))}
