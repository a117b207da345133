"""Bank Marketing (Moro, Cortez and Rita 2014: 41,188 sales calls of a Portuguese bank), by the scorer's names.

`duration` is left out: it is known only after the call. The calendar and the state of the economy are kept beside the
facts: they were known before the call, though no event has them.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from services.scorer.features import ACCEPT_FACTS, EDUCATION, JOBS
from shared.messages import OFFERS
from training.data.table import Cleaned, category_column, number_column, read_csv

FACTS = {
    "age": "age",
    "job": "job",
    "marital": "marital",
    "education": "education",
    "default": "credit_default",
    "housing": "housing_loan",
    "loan": "personal_loan",
    "contact": "contact_channel",
    "previous": "previous_contacts",
    "pdays": "days_since_campaign",
    "poutcome": "previous_outcome",
}
CONTEXT = {
    "campaign": "calls",
    "month": "month",
    "day_of_week": "day_of_week",
    "emp.var.rate": "emp_var_rate",
    "cons.price.idx": "cons_price_idx",
    "cons.conf.idx": "cons_conf_idx",
    "euribor3m": "euribor3m",
    "nr.employed": "nr_employed",
}
"""Other columns known before the call, which no event has: calls of the campaign so far, day, state of the economy."""
UNKNOWN = dict.fromkeys(["job", "marital", "education", "default", "housing", "loan"], "unknown") | {"pdays": "999"}
"""The value that means unknown, by column; for `pdays`, that no earlier campaign reached the customer."""

SCHEMA = pa.DataFrameSchema(
    {
        "age": number_column(17, 120),
        "job": category_column(*JOBS, nullable=True),
        "marital": category_column("divorced", "married", "single", nullable=True),
        "education": category_column(*EDUCATION, nullable=True),
        **{name: category_column("no", "yes", nullable=True) for name in ("default", "housing", "loan")},
        "contact": category_column("cellular", "telephone"),
        "month": category_column(*"jan feb mar apr may jun jul aug sep oct nov dec".split()),
        "day_of_week": category_column("mon", "tue", "wed", "thu", "fri"),
        "duration": number_column(0, 86_400),
        "campaign": number_column(1, 1_000),
        "pdays": number_column(0, 998, "float64", nullable=True),
        "previous": number_column(0, 1_000),
        "poutcome": category_column("failure", "nonexistent", "success"),
        "emp.var.rate": number_column(-10, 10, "float64"),
        "cons.price.idx": number_column(50, 150, "float64"),
        "cons.conf.idx": number_column(-100, 100, "float64"),
        "euribor3m": number_column(-2, 20, "float64"),
        "nr.employed": number_column(1_000, 10_000, "float64"),
        "y": category_column("no", "yes"),
    },
    strict=True,
    coerce=True,
)
"""The file's columns with their types and their ranges or categories."""


def read(file: Path) -> pd.DataFrame:
    return read_csv(file, SCHEMA, delimiter=";", missing=UNKNOWN)


def clean(raw: pd.DataFrame) -> Cleaned:
    """All calls, in the order of the file, which is that of time.

    `offer_level` is a proxy, as no offer was made: 3 if one call was enough, 2 for two, 1 for three, 0 for more.
    """
    yes_no = {name: raw[name].str.capitalize() for name in ("default", "housing", "loan")}  # the scorer's spelling
    rows = raw.assign(
        **yes_no,
        position=range(len(raw)),
        offer_level=(len(OFFERS) - raw["campaign"]).clip(lower=0),
        accepted=raw["y"].eq("yes"),
    ).rename(columns=FACTS | CONTEXT)
    numbers = {name: "float64" for name, encoding in ACCEPT_FACTS.items() if encoding is None}
    selected = rows[["position", *ACCEPT_FACTS, *CONTEXT.values(), "offer_level", "accepted"]].astype(numbers)
    duplicates = int(selected.drop(columns="position").duplicated().sum())
    note = "rows equal to an earlier one in all columns but duration, kept: different people may be alike"
    return Cleaned(selected, dropped={}, noted={note: duplicates})
