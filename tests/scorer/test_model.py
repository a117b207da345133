import json
import shutil
from pathlib import Path

import pytest

from services.scorer.model import BATCH_SIZE, ScorerModel
from shared.artifacts import ARTIFACTS, ArtifactError
from shared.messages import CustomerEvent, CustomerFacts

MONTHLY = CustomerFacts(tenure=3, monthly_charges=85.0, contract="Month-to-month", payment_method="Electronic check")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the artifact, to damage."""
    return Path(shutil.copytree(ARTIFACTS / "scorer", tmp_path / "scorer"))


def test_an_artifact_of_other_features_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["inputs"]["risk"].remove("tenure")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"tenure.*make train-scorer"):
        ScorerModel.load(folder)


def test_an_artifact_with_a_damaged_file_is_refused(folder: Path) -> None:
    (folder / "accept.ubj").write_bytes((folder / "accept.ubj").read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"accept\.ubj"):
        ScorerModel.load(folder)


def test_an_artifact_of_another_version_of_the_service_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["curves.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        ArtifactError, match=r"another version of the service: no curves\.json\. Run: make train-scorer"
    ):
        ScorerModel.load(folder)


def test_an_empty_batch_has_no_scores(model: ScorerModel) -> None:
    assert model.score([]) == []


def test_a_customer_without_facts_gets_probabilities_but_no_reasons(model: ScorerModel) -> None:
    [score] = model.score([CustomerEvent.parse(b'{"customer_id": "c-1"}', "m-1")])
    assert 0 < score.churn_risk < 1
    assert len(score.accept_probs) == 4
    assert all(0 < p < 1 for p in score.accept_probs)
    assert score.reasons == ()


def test_probabilities_are_between_0_and_1(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    assert all(0 <= p <= 1 for score in model.score(customers) for p in (score.churn_risk, *score.accept_probs))


def test_acceptance_never_falls_as_the_offer_level_rises(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    assert all(list(score.accept_probs) == sorted(score.accept_probs) for score in model.score(customers))


def test_the_best_offer_is_accepted_more_often_than_none(model: ScorerModel) -> None:
    [score] = model.score([MONTHLY])
    assert score.accept_probs[-1] > score.accept_probs[0]


@pytest.mark.parametrize(
    ("fact", "values"),
    [("tenure", [0, 1, 6, 12, 24, 48, 72]), ("contract", ["Month-to-month", "One year", "Two year"])],
)
def test_longer_tenure_and_contracts_never_raise_the_risk(
    model: ScorerModel, customers: list[CustomerFacts], fact: str, values: list[object]
) -> None:
    by_value = [model.score([customer.model_copy(update={fact: value}) for customer in customers]) for value in values]
    for scores in zip(*by_value, strict=True):
        risks = [score.churn_risk for score in scores]
        assert risks == sorted(risks, reverse=True)


def test_name_and_plan_do_not_change_a_score(model: ScorerModel, customers: list[CustomerFacts]) -> None:
    renamed = [customer.model_copy(update={"name": "Ada Lovelace", "plan": "Gold"}) for customer in customers]
    assert model.score(renamed) == model.score(customers)


@pytest.mark.parametrize("others", [0, 500, BATCH_SIZE - 25])
def test_a_customer_in_a_batch_is_scored_as_alone(
    model: ScorerModel, customers: list[CustomerFacts], others: int
) -> None:
    alone = [score for customer in customers[:50] for score in model.score([customer])]
    assert model.score([*(customers * 2)[:others], *customers[:50]])[others:] == alone


def test_a_month_to_month_contract_is_a_reason_to_leave(model: ScorerModel) -> None:
    [score] = model.score([MONTHLY])
    reasons = {reason.feature: reason.contribution for reason in score.reasons}
    assert reasons["contract"] > 0


def test_reasons_are_at_most_three_known_facts_strongest_first(
    model: ScorerModel, customers: list[CustomerFacts]
) -> None:
    for customer, score in zip(customers, model.score(customers), strict=True):
        strengths = [abs(reason.contribution) for reason in score.reasons]
        assert len(strengths) <= 3
        assert strengths == sorted(strengths, reverse=True)
        assert all(getattr(customer, reason.feature) is not None for reason in score.reasons)


def test_a_new_monthly_customer_is_at_higher_risk_than_a_long_standing_one(model: ScorerModel) -> None:
    loyal = CustomerFacts(tenure=70, monthly_charges=25.0, contract="Two year", payment_method="Mailed check")
    at_risk, safe = model.score([MONTHLY, loyal])
    assert at_risk.churn_risk > 0.4
    assert safe.churn_risk < 0.1


def test_the_model_counts_unknown_categories() -> None:
    model = ScorerModel.load(ARTIFACTS / "scorer")
    assert model.score([CustomerFacts(contract="Weekly")])[0].churn_risk == model.score([CustomerFacts()])[0].churn_risk
    assert model.unknown == {"contract": 1}


def test_the_artifact_is_smaller_than_1_5_megabytes() -> None:
    assert sum(file.stat().st_size for file in (ARTIFACTS / "scorer").iterdir()) < 1_500_000
