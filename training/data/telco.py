"""Telco Customer Churn (IBM's sample: 7,043 customers of one fictional company), by the scorer's names."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from services.scorer.features import RISK_FACTS
from training.data.table import Cleaned, category_column, drop_rows, number_column, read_csv

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
        "gender": category_column("Female", "Male"),
        "SeniorCitizen": number_column(0, 1),
        "Partner": category_column(*YES_NO),
        "Dependents": category_column(*YES_NO),
        "tenure": number_column(0, 100),
        "PhoneService": category_column(*YES_NO),
        "MultipleLines": category_column(*PHONE),
        "InternetService": category_column("DSL", "Fiber optic", "No"),
        **{
            name: category_column(*INTERNET)
            for name in "OnlineSecurity OnlineBackup DeviceProtection TechSupport StreamingTV StreamingMovies".split()
        },
        "Contract": category_column("Month-to-month", "One year", "Two year"),
        "PaperlessBilling": category_column(*YES_NO),
        "PaymentMethod": category_column(
            "Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"
        ),
        "MonthlyCharges": number_column(0, 1_000, "float64"),
        "TotalCharges": number_column(0, 100_000, "float64", nullable=True),
        "Churn": category_column(*YES_NO),
    },
    strict=True,
    coerce=True,
)
"""The file's columns with their types and their ranges or categories."""


def read(file: Path) -> pd.DataFrame:
    return read_csv(file, SCHEMA, delimiter=",", missing={"TotalCharges": " "})


def customers(raw: pd.DataFrame) -> pd.DataFrame:
    """All customers, by the names of `shared.messages.CustomerFacts`, with `position` and `customer_id`; no label."""
    renamed = raw.rename(columns=FACTS).assign(
        position=range(len(raw)),
        customer_id=raw["customerID"],
        senior_citizen=raw["SeniorCitizen"].map({0: "No", 1: "Yes"}),
    )
    numbers = {name: "float64" for name, encoding in RISK_FACTS.items() if encoding is None}
    return renamed[["position", "customer_id", *RISK_FACTS]].astype(numbers)


def clean(raw: pd.DataFrame) -> Cleaned:
    """Customers with their label, without new ones (tenure 0, TotalCharges blank), none of whom could have churned."""
    rows = customers(raw).assign(churned=raw["Churn"].eq("Yes"))
    return drop_rows(rows, {"TotalCharges is blank (tenure 0)": lambda rows: rows["total_charges"].isna()})
