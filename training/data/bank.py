"""The Bank Marketing contacts (Moro, Cortez and Rita 2014: 41,188 calls of a Portuguese bank) in our words.

`duration` is left out: it is known only after the call. `month`, `day_of_week` and the economy at the time are kept
beside the facts: they were known before the call, but an event does not carry them.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from services.scorer.features import ACCEPT_FACTS, EDUCATION, JOBS
from shared.messages import OFFERS
from training.data.table import Cleaned, between, one_of, read_csv

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
"""What was known before the call and an event cannot carry: the campaign's calls so far, the day, the economy then."""
UNKNOWN = dict.fromkeys(["job", "marital", "education", "default", "housing", "loan"], "unknown") | {"pdays": "999"}
"""What a column says where a value is not known, or, of `pdays`, where no campaign reached them before."""

SCHEMA = pa.DataFrameSchema(
    {
        "age": between(17, 120),
        "job": one_of(*JOBS, nullable=True),
        "marital": one_of("divorced", "married", "single", nullable=True),
        "education": one_of(*EDUCATION, nullable=True),
        **{name: one_of("no", "yes", nullable=True) for name in ("default", "housing", "loan")},
        "contact": one_of("cellular", "telephone"),
        "month": one_of(*"jan feb mar apr may jun jul aug sep oct nov dec".split()),
        "day_of_week": one_of("mon", "tue", "wed", "thu", "fri"),
        "duration": between(0, 86_400),
        "campaign": between(1, 1_000),
        "pdays": between(0, 998, "float64", nullable=True),
        "previous": between(0, 1_000),
        "poutcome": one_of("failure", "nonexistent", "success"),
        "emp.var.rate": between(-10, 10, "float64"),
        "cons.price.idx": between(50, 150, "float64"),
        "cons.conf.idx": between(-100, 100, "float64"),
        "euribor3m": between(-2, 20, "float64"),
        "nr.employed": between(1_000, 10_000, "float64"),
        "y": one_of("no", "yes"),
    },
    strict=True,
    coerce=True,
)
"""Of the file; the kind of each column, its range or its categories."""


def read(file: Path) -> pd.DataFrame:
    return read_csv(file, SCHEMA, delimiter=";", missing=UNKNOWN)


def clean(raw: pd.DataFrame) -> Cleaned:
    """Every call, in the file's order, which is that of time; `unknown` and `pdays` of 999 are missing.

    `offer_level` is a stand-in, for no offer was made: 3 where one call was enough, 2 for two, 1 for three, 0 for more.
    """
    spelt = {name: raw[name].str.capitalize() for name in ("default", "housing", "loan")}  # as the scorer spells them
    rows = raw.assign(
        **spelt,
        position=range(len(raw)),
        offer_level=(len(OFFERS) - raw["campaign"]).clip(lower=0),
        accepted=raw["y"].eq("yes"),
    ).rename(columns=FACTS | CONTEXT)
    numbers = {name: "float64" for name, encoding in ACCEPT_FACTS.items() if encoding is None}
    kept = rows[["position", *ACCEPT_FACTS, *CONTEXT.values(), "offer_level", "accepted"]].astype(numbers)
    alike = int(kept.drop(columns="position").duplicated().sum())
    return Cleaned(
        kept,
        dropped={},
        noted={"rows equal to an earlier one in all columns but duration, kept: different people may be alike": alike},
    )
