"""Customers to decide about, from the real tables where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.policy.response.model import RESPONSE_MODEL, daily_hazard
from services.scorer.features import ACCEPT_FACTS, RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ARTIFACTS
from shared.messages import CustomerFacts
from training.policy.customers import HELD_OUT, TRAINING, Population, customers, lent, population, scored
from training.scorer.data import public_tables


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the data sets made ready."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def people(data: Path, made: Path) -> Population:
    return population(data, made, ARTIFACTS)


def test_nobody_is_both_to_learn_from_and_to_be_judged_on(people: Population, data: Path, made: Path) -> None:
    telco, _ = public_tables(data, made)
    tested = telco["split"].eq("test")

    assert set(people.people["customer_id"]) == set(telco["customer_id"][tested])
    assert len(people.training.bill) == TRAINING * (~tested).sum()
    assert people.training.bill.sum() == pytest.approx(TRAINING * telco["monthly_charges"][~tested].sum())
    assert (people.people["customer_id"].value_counts() == HELD_OUT).all()


def test_a_customer_is_as_the_service_would_score_them(people: Population) -> None:
    """The facts of three rows, through the scorer one by one."""
    model = ScorerModel.load(ARTIFACTS / "scorer")
    for row in (0, 700, len(people.people) - 1):
        person = people.people.iloc[row]
        facts = {fact: person[fact] for fact in (*RISK_FACTS, *ACCEPT_FACTS) if pd.notna(person[fact])}
        [score] = model.score([CustomerFacts.model_validate(facts)])
        assert people.held_out.accept[row] == pytest.approx(score.accept_probs)
        assert people.held_out.bill[row] == facts["monthly_charges"]
        assert people.held_out.hazard[row] == pytest.approx(daily_hazard(np.array(score.churn_risk)))


def test_the_lent_facts_differ_between_the_copies_of_a_customer(people: Population) -> None:
    half = len(people.people) // HELD_OUT
    first, second = people.people[:half], people.people[half:]

    assert first[list(RISK_FACTS)].fillna("").values.tolist() == second[list(RISK_FACTS)].fillna("").values.tolist()
    assert (first["age"].to_numpy() != second["age"].to_numpy()).mean() > 0.9


def test_the_same_seed_is_the_same_people_and_another_draws_other_facts(
    people: Population, data: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"churn_risk": 0.5, **{f"accept_prob_{level}": 0.1 for level in range(4)}}  # all alike, for speed
    monkeypatch.setattr("training.policy.customers.scored", lambda rows, model: rows.assign(**scores))
    again, other = (population(data, made, ARTIFACTS, seed=seed).people for seed in (42, 43))

    facts = ["customer_id", *RISK_FACTS, *ACCEPT_FACTS]
    assert again[facts].equals(people.people[facts])
    assert other["customer_id"].equals(again["customer_id"])
    assert not other["age"].equals(again["age"])


def table(facts: object, number: int, **given: list[object]) -> pd.DataFrame:
    """Of which only some facts are known."""
    return pd.DataFrame({**{fact: [None] * number for fact in facts}, **given}, dtype=object)


TELCO = table(RISK_FACTS, 2, customer_id=["a", "b"], monthly_charges=[50.0, 90.0], tenure=[3.0, 60.0])
BANK = table(ACCEPT_FACTS, 3, age=[20.0, 40.0, 60.0], job=["student", "services", "retired"])


def test_a_customer_is_lent_the_facts_of_one_other_whole() -> None:
    found = lent(TELCO, BANK, 50, np.random.default_rng(0))

    assert found["customer_id"].tolist() == ["a", "b"] * 50
    assert found["tenure"].tolist() == [3.0, 60.0] * 50
    assert set(zip(found["age"], found["job"], strict=True)) == set(zip(BANK["age"], BANK["job"], strict=True))


def test_a_table_becomes_hazards_acceptance_and_bills_in_its_order() -> None:
    people = scored(lent(TELCO, BANK, 1, np.random.default_rng(0)), ScorerModel.load(ARTIFACTS / "scorer"))
    found = customers(people)

    assert found.bill.tolist() == [50.0, 90.0]
    assert found.accept.shape == (2, 4)
    assert found.accept[1].tolist() == [people[f"accept_prob_{level}"][1] for level in range(4)]
    assert -np.expm1(-found.hazard * 90) == pytest.approx(people["churn_risk"].to_numpy())
    assert found.hazard[0] > found.hazard[1], "three months with us, and five years"
    assert customers(people, RESPONSE_MODEL._replace(risk_days=45)).hazard == pytest.approx(2 * found.hazard)
