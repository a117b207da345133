"""The Bank Marketing contacts (Moro, Cortez and Rita 2014: 41,188 calls of a Portuguese bank) in our words.

Left out: `duration`, which is known only after the call, and the economy at its time, which an event does not carry.
"""

from collections.abc import Mapping

from shared.messages import OFFERS

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
NUMBERS = {"age", "previous", "pdays"}
NEVER = "999"
"""What `pdays` says of those whom no campaign reached before."""


def facts(row: Mapping[str, str]) -> dict[str, object]:
    """A row by the names of `shared.messages.Facts`, without what is unknown and without its label."""
    return {
        FACTS[name]: int(text) if name in NUMBERS else text
        for name, text in row.items()
        if name in FACTS and text != "unknown" and (name, text) != ("pdays", NEVER)
    }


def offer_level(row: Mapping[str, str]) -> int:
    """A stand-in, for no offer was made: 3 where one call was enough, 2 for two, 1 for three, 0 for four and more."""
    return max(0, len(OFFERS) - int(row["campaign"]))


def accepted(row: Mapping[str, str]) -> bool:
    return row["y"] == "yes"
