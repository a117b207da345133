"""The report on a prepared data set, as JSON for programs and as Markdown for people."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """The report; its fields are the keys of report.json."""

    name: str
    origin: str
    licence: str
    taken_from: str
    part: str
    """Description of the part of the set that was read; empty if all of it was."""
    files: Mapping[str, str]
    """sha256 by name."""
    read: int
    """Number of rows that were read."""
    dropped: Mapping[str, int]
    """Number of dropped rows, by reason."""
    noted: Mapping[str, int]
    """Number of rows, by a property that is worth a note."""
    missing: Mapping[str, int]
    """Number of missing values in the rows of the splits, by column."""
    splits: Mapping[str, int]
    """Number of rows, by split."""
    shares: Mapping[str, float]
    """Share of positive labels, by split; empty if there is no label."""
    made_of: str
    """Hash of the files and the code: the set is prepared again when it changes."""

    def markdown(self) -> str:
        """The report as Markdown: rows read, rows dropped by reason, and rows of each split."""
        part = f"\n**A part of the set:** {self.part}.\n" if self.part else ""
        splits = {name: f"{rows:,}" for name, rows in self.splits.items()}
        splits |= {name: f"{splits[name]}, {share:.2%} of them positive" for name, share in self.shares.items()}
        tables = (
            ("dropped because", "rows", self.dropped),
            ("noted", "rows", self.noted),
            ("missing in column", "values", self.missing),
            ("split", "rows", splits),
            ("file", "sha256", self.files),
        )
        return (
            f"# {self.name}\n\n{self.origin}. Licence: {self.licence}. Taken from {self.taken_from}.\n{part}\n"
            f"{self.read:,} rows were read, {sum(self.dropped.values()):,} dropped, "
            f"{sum(self.splits.values()):,} kept.\n"
        ) + "".join(_table(left, right, cells) for left, right, cells in tables if cells)


def _table(left: str, right: str, cells: Mapping[str, object]) -> str:
    texts = {name: f"{cell:,}" if isinstance(cell, int) else cell for name, cell in cells.items()}
    rows = "".join(f"| {name} | {text} |\n" for name, text in texts.items())
    return f"\n| {left} | {right} |\n| --- | --- |\n{rows}"
