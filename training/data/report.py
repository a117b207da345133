"""What was made of a data set, and what was not: for machines and for people."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    name: str
    origin: str
    licence: str
    taken_from: str
    part: str
    """Which part of the set this is; empty if it is all of it."""
    files: Mapping[str, str]
    """sha256 by name."""
    read: int
    dropped: Mapping[str, int]
    noted: Mapping[str, int]
    missing: Mapping[str, int]
    """Values not known in the rows that are kept, by column."""
    splits: Mapping[str, int]
    shares: Mapping[str, float]
    """Of the rows of a split whose label is true; empty where there is no label."""
    made_of: str
    """Changes with the files, the code and its settings."""

    def markdown(self) -> str:
        """A page: what was read, what was dropped and why, what each split holds."""
        part = f"\n**A part of the set:** {self.part}.\n" if self.part else ""
        splits = {name: f"{rows:,}" for name, rows in self.splits.items()}
        splits |= {name: f"{splits[name]}, {share:.2%} of them positive" for name, share in self.shares.items()}
        tables = (
            ("dropped because", "rows", self.dropped),
            ("noticed", "rows", self.noted),
            ("not known", "values", self.missing),
            ("split", "rows", splits),
            ("file", "sha256", self.files),
        )
        return (
            f"# {self.name}\n\n{self.origin}. Licence: {self.licence}. Taken from {self.taken_from}.\n{part}\n"
            f"{self.read:,} rows were read, {sum(self.dropped.values()):,} dropped, "
            f"{sum(self.splits.values()):,} kept.\n"
        ) + "".join(_table(left, right, cells) for left, right, cells in tables if cells)


def _table(left: str, right: str, cells: Mapping[str, object]) -> str:
    rows = "".join(f"| {name} | {f'{cell:,}' if isinstance(cell, int) else cell} |\n" for name, cell in cells.items())
    return f"\n| {left} | {right} |\n| --- | --- |\n{rows}"
