"""Customers to train and to evaluate policies on: those of the Telco data, with the scores of the scorer.

Acceptance depends on facts of a bank's customers, which no Telco customer has. So each gets the facts of a bank
customer drawn at random with a fixed seed, which makes an invented record. The sensitivity table shows what another
draw changes.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from services.policy.response.model import RESPONSE_MODEL, Customers, ResponseModel, daily_hazard
from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS, MANIFEST, ArtifactError
from shared.messages import CustomerFacts
from shared.settings import Settings
from training.scorer.data import public_tables

SEED = 42
"""Seed of the draws of bank customers."""
TRAINING_COPIES, HELD_OUT_COPIES = 3, 2
"""Copies of each Telco customer, with the facts of as many bank customers."""


class Population(NamedTuple):
    """Customers to train on and held-out ones: nobody is in both, and the scorer was not trained on the latter."""

    training: Customers
    held_out: Customers
    held_out_facts: pd.DataFrame
    """A row for each customer of `held_out`: `customer_id`, facts and scores."""


def load_population(
    mirror: Path, data: Path, artifacts: Path, response_model: ResponseModel = RESPONSE_MODEL, seed: int = SEED
) -> Population:
    """The customers. Raises `SourceError` without the data sets, and `ArtifactError` without a scorer."""
    scorer = artifacts / "scorer"
    if not (scorer / MANIFEST).is_file():
        raise ArtifactError(f"There is no scorer in {scorer}. Run: make train-scorer")
    telco, bank = public_tables(mirror, data)
    model, rng = ScorerModel.load(scorer), np.random.default_rng(seed)

    def scored_split(is_test: bool, copies: int) -> pd.DataFrame:
        telco_split, bank_split = (table[table["split"].eq("test") == is_test] for table in (telco, bank))
        return with_scores(with_bank_facts(telco_split, bank_split, copies, rng), model)

    training, held_out = scored_split(False, TRAINING_COPIES), scored_split(True, HELD_OUT_COPIES)
    return Population(to_customers(training, response_model), to_customers(held_out, response_model), held_out)


def with_bank_facts(telco: pd.DataFrame, bank: pd.DataFrame, copies: int, rng: np.random.Generator) -> pd.DataFrame:
    """`copies` of each Telco customer, each with the facts of a bank customer drawn at random."""
    facts = pd.concat([telco[["customer_id", *RISK_FACTS]]] * copies, ignore_index=True)
    drawn = bank[list(ACCEPT_FACTS)].iloc[rng.integers(len(bank), size=len(facts))]
    return facts.assign(**{fact: drawn[fact].to_numpy() for fact in ACCEPT_FACTS})


def with_scores(facts: pd.DataFrame, model: ScorerModel) -> pd.DataFrame:
    """`facts` with the columns `churn_risk` and `accept_prob_0`, `accept_prob_1`, …, as the service scores them."""
    rows = facts.astype(object).where(facts.notna(), None).to_dict("records")
    scores = model.score([CustomerFacts.model_validate(row) for row in rows])
    accept = np.array([score.accept_probs for score in scores])
    levels = {f"accept_prob_{level}": accept[:, level] for level in range(accept.shape[1])}
    return facts.assign(churn_risk=[score.churn_risk for score in scores], **levels)


def to_customers(scored: pd.DataFrame, response_model: ResponseModel = RESPONSE_MODEL) -> Customers:
    """The customers in a table of `with_scores`, in the order of its rows."""
    hazard = daily_hazard(scored["churn_risk"].to_numpy(), response_model)
    return Customers(hazard, scored.filter(like="accept_prob_").to_numpy(), scored["monthly_charges"].to_numpy())


def add_data_options(parser: ArgumentParser) -> None:
    """Add options for the folders that `load_population` takes."""
    parser.add_argument(
        "--mirror", type=Path, default=Settings.from_environment().data, help="folder of local copies of the data sets"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument(
        "--artifacts", type=Path, default=ARTIFACTS, help="folder of the artifacts; it must hold a scorer"
    )
