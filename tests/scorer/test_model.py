import json
import shutil
from pathlib import Path

import pytest

from services.scorer.model import BATCH_SIZE, ScorerModel
from shared.artifacts import ARTIFACTS, ArtifactError
from shared.messages import CustomerEvent, CustomerFacts

DEMO = CustomerFacts(tenure=3, monthly_charges=85.0, contract="Month-to-month", payment_method="Electronic check")


@pytest.fixture
def copy(tmp_path: Path):
    return shutil.copytree(ARTIFACTS / "scorer", tmp_path / "scorer")


def test_it_refuses_to_start_on_other_features(copy) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["inputs"]["risk"].remove("tenure")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"tenure.*make train-scorer"):
        ScorerModel.load(copy)


def test_it_refuses_to_start_on_a_damaged_file(copy) -> None:
    (copy / "accept.ubj").write_bytes((copy / "accept.ubj").read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"accept\.ubj"):
        ScorerModel.load(copy)


def test_it_refuses_an_artifact_of_another_version_of_itself(copy) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["curves.json"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        ArtifactError, match=r"another version of the service: no curves\.json\. Run: make train-scorer"
    ):
        ScorerModel.load(copy)


def test_nobody_scores_nobody(model: ScorerModel) -> None:
    assert model.score([]) == []


def test_an_id_alone_gets_probabilities_and_no_reasons(model: ScorerModel) -> None:
    [score] = model.score([CustomerEvent.parse(b'{"customer_id": "c-1"}', "m-1")])
    assert 0 < score.churn_risk < 1
    assert len(score.accept_probs) == 4
    assert all(0 < p < 1 for p in score.accept_probs)
    assert score.reasons == ()


def test_probabilities_are_probabilities(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    assert all(0 <= p <= 1 for score in model.score(customers) for p in (score.churn_risk, *score.accept_probs))


def test_acceptance_never_falls_with_the_level(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    assert all(list(score.accept_probs) == sorted(score.accept_probs) for score in model.score(customers))


def test_a_better_offer_is_worth_something(model: ScorerModel) -> None:
    [score] = model.score([DEMO])
    assert score.accept_probs[-1] > score.accept_probs[0]


@pytest.mark.parametrize(
    ("fact", "values"),
    [("tenure", [0, 1, 6, 12, 24, 48, 72]), ("contract", ["Month-to-month", "One year", "Two year"])],
)
def test_staying_longer_never_raises_the_risk(
    model: ScorerModel, customers: list[CustomerFacts], fact: str, values
) -> None:
    by_value = [model.score([c.model_copy(update={fact: value}) for c in customers]) for value in values]
    for scores in zip(*by_value, strict=True):
        risks = [score.churn_risk for score in scores]
        assert risks == sorted(risks, reverse=True)


def test_a_name_changes_nothing(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    renamed = [c.model_copy(update={"name": "Ada Lovelace", "plan": "Gold"}) for c in customers]
    assert model.score(renamed) == model.score(customers)


@pytest.mark.parametrize("others", [0, 500, BATCH_SIZE - 25])
def test_a_batch_is_scored_as_one_by_one(model: ScorerModel, customers: list[CustomerFacts], others) -> None:
    alone = [score for customer in customers[:50] for score in model.score([customer])]
    assert model.score([*(customers * 2)[:others], *customers[:50]])[others:] == alone


def test_a_month_to_month_contract_is_a_reason_to_leave(model: ScorerModel) -> None:
    [score] = model.score([DEMO])
    reasons = {reason.feature: reason.contribution for reason in score.reasons}
    assert reasons["contract"] > 0


def test_reasons_are_three_known_facts_strongest_first(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    for customer, score in zip(customers, model.score(customers), strict=True):
        strengths = [abs(reason.contribution) for reason in score.reasons]
        assert len(strengths) <= 3
        assert strengths == sorted(strengths, reverse=True)
        assert all(getattr(customer, reason.feature) is not None for reason in score.reasons)


def test_a_customer_about_to_leave_is_riskier_than_one_settled(model: ScorerModel) -> None:
    settled = CustomerFacts(tenure=70, monthly_charges=25.0, contract="Two year", payment_method="Mailed check")
    leaving, staying = model.score([DEMO, settled])
    assert leaving.churn_risk > 0.4
    assert staying.churn_risk < 0.1


def test_unknown_categories_are_counted_on_the_model() -> None:
    model = ScorerModel.load(ARTIFACTS / "scorer")
    assert model.score([CustomerFacts(contract="Weekly")])[0].churn_risk == model.score([CustomerFacts()])[0].churn_risk
    assert model.unknown == {"contract": 1}


def test_the_artifact_is_small() -> None:
    assert sum(file.stat().st_size for file in (ARTIFACTS / "scorer").iterdir()) < 1_500_000
