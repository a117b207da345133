"""The Telco customers (IBM's sample: 7,043 rows of one fictional company) in our words."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from services.scorer.features import RISK_FACTS
from training.data.table import Cleaned, between, one_of, read_csv, sift

FACTS = {
    "gender": "gender",
    "SeniorCitizen": "senior_citizen",
    "Partner": "partner",
    "Dependents": "dependents",
    "tenure": "tenure",
    "PhoneService": "phone_service",
    "MultipleLines": "multiple_lines",
    "InternetService": "internet_service",
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
    "Contract": "contract",
    "PaperlessBilling": "paperless_billing",
    "PaymentMethod": "payment_method",
    "MonthlyCharges": "monthly_charges",
    "TotalCharges": "total_charges",
}

YES_NO, PHONE, INTERNET = ("Yes", "No"), ("Yes", "No", "No phone service"), ("Yes", "No", "No internet service")
SCHEMA = pa.DataFrameSchema(
    {
        "customerID": pa.Column(
            "str", pa.Check.str_matches(r"^\d{4}-[A-Z]{5}$", error="an id such as 7590-VHVEG"), unique=True
        ),
        "gender": one_of("Female", "Male"),
        "SeniorCitizen": between(0, 1),
        "Partner": one_of(*YES_NO),
        "Dependents": one_of(*YES_NO),
        "tenure": between(0, 100),
        "PhoneService": one_of(*YES_NO),
        "MultipleLines": one_of(*PHONE),
        "InternetService": one_of("DSL", "Fiber optic", "No"),
        **{
            name: one_of(*INTERNET)
            for name in "OnlineSecurity OnlineBackup DeviceProtection TechSupport StreamingTV StreamingMovies".split()
        },
        "Contract": one_of("Month-to-month", "One year", "Two year"),
        "PaperlessBilling": one_of(*YES_NO),
        "PaymentMethod": one_of(
            "Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"
        ),
        "MonthlyCharges": between(0, 1_000, "float64"),
        "TotalCharges": between(0, 100_000, "float64", nullable=True),
        "Churn": one_of(*YES_NO),
    },
    strict=True,
    coerce=True,
)
"""Of the file; the kind of each column, its range or its categories."""


def read(file: Path) -> pd.DataFrame:
    return read_csv(file, SCHEMA, delimiter=",", missing={"TotalCharges": " "})


def customers(raw: pd.DataFrame) -> pd.DataFrame:
    """Every customer by the names of `shared.messages.Facts`, with `position` and `customer_id` and without a label."""
    ours = raw.rename(columns=FACTS).assign(
        position=range(len(raw)),
        customer_id=raw["customerID"],
        senior_citizen=raw["SeniorCitizen"].map({0: "No", 1: "Yes"}),
    )
    numbers = {name: "float64" for name, encoding in RISK_FACTS.items() if encoding is None}
    return ours[["position", "customer_id", *RISK_FACTS]].astype(numbers)


def clean(raw: pd.DataFrame) -> Cleaned:
    """Without those who have paid nothing yet: their TotalCharges is blank, their tenure 0, and none could churn."""
    rows = customers(raw).assign(churned=raw["Churn"].eq("Yes"))
    return sift(rows, {"TotalCharges is blank (tenure 0)": lambda rows: rows["total_charges"].isna()})
