"""The public data sets that training reads, and where they lie. A file is read only if it is the one listed here."""

import csv
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path


class SourceError(Exception):
    """A data set is missing or not the one expected; the text says which and what to do."""


@dataclass(frozen=True)
class Source:
    path: str
    sha256: str
    rows: int
    columns: tuple[str, ...]
    delimiter: str = ","


TELCO = Source(
    path="telco/Telco-Customer-Churn.csv",
    sha256="16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
    rows=7_043,
    columns=tuple(
        "customerID gender SeniorCitizen Partner Dependents tenure PhoneService MultipleLines InternetService "
        "OnlineSecurity OnlineBackup DeviceProtection TechSupport StreamingTV StreamingMovies Contract "
        "PaperlessBilling PaymentMethod MonthlyCharges TotalCharges Churn".split()
    ),
)

BANK = Source(
    path="bank/bank-additional-full.csv",
    sha256="74adfc578bf77a7ff4bb1ba4a9f8709d9e3c6907342959c2c8416847e0afb4d8",
    rows=41_188,
    columns=tuple(
        "age job marital education default housing loan contact month day_of_week duration campaign pdays previous "
        "poutcome emp.var.rate cons.price.idx cons.conf.idx euribor3m nr.employed y".split()
    ),
    delimiter=";",
)


def read(source: Source, folder: Path) -> list[dict[str, str]]:
    """The rows of a source, as text by column. Raises `SourceError`."""
    file = folder / source.path
    if not file.is_file():
        raise SourceError(f"{file} is not there. Give the folder of the data sets by --data or RETENTION_DATA.")
    content = file.read_bytes()
    if (found := sha256(content).hexdigest()) != source.sha256:
        raise SourceError(f"{file} is another file: its sha256 is {found}, not {source.sha256}. Fetch it again.")
    reader = csv.DictReader(StringIO(content.decode()), delimiter=source.delimiter)
    rows = list(reader)
    if (tuple(reader.fieldnames or ()), len(rows)) != (source.columns, source.rows):
        raise SourceError(f"{file}: {len(rows)} rows of {reader.fieldnames}, not what its entry in {__name__} says.")
    return rows
