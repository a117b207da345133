"""Customers to decide about: the Telco customers, as the scorer sees them.

Acceptance rests on facts of a bank's customers, which no Telco customer has: each is lent those of a bank customer,
drawn at random by a fixed seed. An invented record; the sensitivity table shows what another draw changes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel, daily_hazard
from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.messages import CustomerFacts
from training.scorer.data import public_tables

SEED = 42
TRAINING, HELD_OUT = 3, 2
"""Bank customers lent to each Telco customer."""


class Population(NamedTuple):
    """To learn from and to be judged on: nobody is in both, and the scorer has not seen the second."""

    training: Customers
    held_out: Customers
    people: pd.DataFrame
    """The facts of those held out, with their `customer_id` and scores, in the same order."""


def population(
    mirror: Path, data: Path, artifacts: Path, response_model: ResponseModel = RESPONSE_MODEL, seed: int = SEED
) -> Population:
    """Raises `SourceError` and `ArtifactError`."""
    telco, bank = public_tables(mirror, data)
    model, rng = ScorerModel.load(artifacts / "scorer"), np.random.default_rng(seed)
    sides = {}
    for tested, times in ((False, TRAINING), (True, HELD_OUT)):
        ours, theirs = (table[table["split"].eq("test") == tested] for table in (telco, bank))
        sides[tested] = scored(lent(ours, theirs, times, rng), model)
    return Population(customers(sides[False], response_model), customers(sides[True], response_model), sides[True])


def lent(telco: pd.DataFrame, bank: pd.DataFrame, times: int, rng: np.random.Generator) -> pd.DataFrame:
    """Each Telco customer `times` over, each time with the facts of another bank customer."""
    people = pd.concat([telco[["customer_id", *RISK_FACTS]]] * times, ignore_index=True)
    theirs = bank[list(ACCEPT_FACTS)].iloc[rng.integers(len(bank), size=len(people))]
    return people.assign(**{fact: theirs[fact].to_numpy() for fact in ACCEPT_FACTS})


def scored(people: pd.DataFrame, model: ScorerModel) -> pd.DataFrame:
    """With `churn_risk` and `accept_prob_0…` as the service would say them."""
    facts = people.astype(object).where(people.notna(), None)
    scores = model.score([CustomerFacts.model_validate(row) for row in facts.to_dict("records")])
    accept = np.array([score.accept_probs for score in scores])
    levels = {f"accept_prob_{level}": accept[:, level] for level in range(accept.shape[1])}
    return people.assign(churn_risk=[score.churn_risk for score in scores], **levels)


def customers(people: pd.DataFrame, response_model: ResponseModel = RESPONSE_MODEL) -> Customers:
    accept = people.filter(like="accept_prob_").to_numpy()
    return Customers(
        daily_hazard(people["churn_risk"].to_numpy(), response_model), accept, people["monthly_charges"].to_numpy()
    )
