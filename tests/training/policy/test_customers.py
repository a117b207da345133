"""Customers to train and evaluate policies on, from the real tables where these are at hand."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.policy.response.model import RESPONSE_MODEL, daily_hazard
from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS, ArtifactError
from shared.messages import CustomerFacts
from training.policy.customers import (
    HELD_OUT_COPIES,
    TRAINING_COPIES,
    Population,
    load_population,
    to_customers,
    with_bank_facts,
    with_scores,
)
from training.scorer.data import public_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the prepared data sets."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def population(data: Path, prepared: Path) -> Population:
    return load_population(data, prepared, ARTIFACTS)


@pytest.mark.slow
def test_no_customer_is_both_in_training_and_held_out(population: Population, data: Path, prepared: Path) -> None:
    telco, _ = public_tables(data, prepared)
    is_test = telco["split"].eq("test")
    customer_ids = population.held_out_facts["customer_id"]

    assert set(customer_ids) == set(telco["customer_id"][is_test])
    assert len(population.training.bill) == TRAINING_COPIES * (~is_test).sum()
    assert population.training.bill.sum() == pytest.approx(TRAINING_COPIES * telco["monthly_charges"][~is_test].sum())
    assert (customer_ids.value_counts() == HELD_OUT_COPIES).all()


def test_customers_have_the_scores_that_the_service_gives_them(population: Population) -> None:
    """Three rows, scored one by one."""
    model, rows = ScorerModel.load(ARTIFACTS / "scorer"), population.held_out_facts
    for row in (0, 700, len(rows) - 1):
        customer = rows.iloc[row]
        facts = {fact: customer[fact] for fact in (*RISK_FACTS, *ACCEPT_FACTS) if pd.notna(customer[fact])}
        [score] = model.score([CustomerFacts.model_validate(facts)])
        assert population.held_out.accept[row] == pytest.approx(score.accept_probs)
        assert population.held_out.bill[row] == facts["monthly_charges"]
        assert population.held_out.hazard[row] == pytest.approx(daily_hazard(np.array(score.churn_risk)))


def test_the_copies_of_a_customer_differ_in_their_bank_facts(population: Population) -> None:
    rows = population.held_out_facts
    half = len(rows) // HELD_OUT_COPIES
    first, second = rows[:half], rows[half:]

    assert first[list(RISK_FACTS)].fillna("").values.tolist() == second[list(RISK_FACTS)].fillna("").values.tolist()
    assert (first["age"].to_numpy() != second["age"].to_numpy()).mean() > 0.9


def test_the_same_seed_draws_the_same_bank_facts_and_another_seed_others(
    population: Population, data: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"churn_risk": 0.5, **{f"accept_prob_{level}": 0.1 for level in range(4)}}  # all alike, for speed
    monkeypatch.setattr("training.policy.customers.with_scores", lambda rows, model: rows.assign(**scores))
    again, other = (load_population(data, prepared, ARTIFACTS, seed=seed).held_out_facts for seed in (42, 43))

    facts = ["customer_id", *RISK_FACTS, *ACCEPT_FACTS]
    assert again[facts].equals(population.held_out_facts[facts])
    assert other["customer_id"].equals(again["customer_id"])
    assert not other["age"].equals(again["age"])


def test_a_missing_scorer_is_reported_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no scorer in .*make train-scorer"):
        load_population(tmp_path, tmp_path, tmp_path)


def table(facts: Iterable[str], number: int, **known: list[object]) -> pd.DataFrame:
    """`number` rows of which only some facts are known."""
    return pd.DataFrame({**{fact: [None] * number for fact in facts}, **known}, dtype=object)


TELCO = table(RISK_FACTS, 2, customer_id=["a", "b"], monthly_charges=[50.0, 90.0], tenure=[3.0, 60.0])
BANK = table(ACCEPT_FACTS, 3, age=[20.0, 40.0, 60.0], job=["student", "services", "retired"])


def test_a_customer_gets_all_bank_facts_from_one_bank_customer() -> None:
    facts = with_bank_facts(TELCO, BANK, 50, np.random.default_rng(0))

    assert facts["customer_id"].tolist() == ["a", "b"] * 50
    assert facts["tenure"].tolist() == [3.0, 60.0] * 50
    assert set(zip(facts["age"], facts["job"], strict=True)) == set(zip(BANK["age"], BANK["job"], strict=True))


def test_scored_rows_become_hazards_acceptance_and_bills_in_their_order() -> None:
    scored = with_scores(
        with_bank_facts(TELCO, BANK, 1, np.random.default_rng(0)), ScorerModel.load(ARTIFACTS / "scorer")
    )
    customers = to_customers(scored)

    assert customers.bill.tolist() == [50.0, 90.0]
    assert customers.accept.shape == (2, 4)
    assert customers.accept[1].tolist() == [scored[f"accept_prob_{level}"][1] for level in range(4)]
    assert -np.expm1(-customers.hazard * 90) == pytest.approx(scored["churn_risk"].to_numpy())
    assert customers.hazard[0] > customers.hazard[1], "a tenure of three months, and of five years"
    assert to_customers(scored, RESPONSE_MODEL._replace(risk_days=45)).hazard == pytest.approx(2 * customers.hazard)
