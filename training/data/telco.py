"""The Telco customers (IBM's sample: 7,043 rows of one fictional company) in our words."""

from collections.abc import Mapping

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
NUMBERS = {"SeniorCitizen": int, "tenure": int, "MonthlyCharges": float, "TotalCharges": float}


def facts(row: Mapping[str, str]) -> dict[str, object]:
    """A row by the names of `shared.messages.Facts`, without its blanks and its label."""
    return {FACTS[name]: NUMBERS.get(name, str)(text) for name, text in row.items() if name in FACTS and text.strip()}


def event(row: Mapping[str, str]) -> dict[str, object]:
    """A row as a customer event, ready for JSON."""
    customer = row["customerID"]
    return {"event_id": f"telco-{customer}", "customer_id": customer, **facts(row)}


def churned(row: Mapping[str, str]) -> bool:
    return row["Churn"] == "Yes"
