"""From the service's decisions and their outcomes to the estimated value of another network."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from services.policy.handlers.decide import decide
from services.policy.policies.base import Exploration
from services.policy.policies.network import Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import MONTH, RESPONSE_MODEL, daily_hazard, hazard_exposure
from shared.artifacts import Manifest
from shared.messages import OFFERS, Action, CustomerEvent, Decision, Message, Metadata, Outcome, Safety, ScoredCustomer
from tests.policy.builders import outcome, policy_context, scored
from tests.policy.networks import arrays, artifact
from tests.support.clock import NOON
from training.history import History, HistoryError
from training.policy.ope import dataset
from training.policy.ope.bandit_log import read_table
from training.policy.ope.dataset import bandit_table, decision_rewards, logged_action, target_action
from training.policy.ope.ope import estimate

DAY = timedelta(days=1)
DAYS = np.arange(121)
"""Days that the log goes on for."""
OBSERVATION = (0.8, 0.1, 0.3, 0.6, 0.7, 0.5, 1.0, 0.0, 0.0)
NETWORK = Network(arrays(), Manifest(version="", made_by="", inputs={}, data_sha256={}, metrics={}))


def network(**other: NDArray[np.float32]) -> Network:
    return Network({**arrays(), **other}, NETWORK.manifest)


def decided(
    event_id: str = "one", customer: str = "a", day: float = 0, contact: bool = True, level: int = 2, **more: Any
) -> Decision:
    facts = {"churn_risk": 0.8, "accept_prob": 0.6, "accept_probs": (0.1, 0.3, 0.6, 0.7), "expected_value": 0.0}
    probs = {"propensity": 0.4, "action_probs": (0.3, 0.1, 0.1, 0.4, 0.1), "policy": "ppo", "observation": OBSERVATION}
    offer: dict[str, Any] = {"offer_level": level, "offer_percentage": OFFERS[level]} if contact else {}
    return Decision(
        id=scored(customer, event_id).id,
        event_id=event_id,
        customer_id=customer,
        decision=Action(contact=contact, **offer, estimated_retention_prob=0.5),
        metadata=Metadata.model_validate({**facts, **probs, **more.pop("metadata", {})}),
        times={"decided_at": NOON + day * DAY},
        **more,
    )


def reported(kind: str, event_id: str = "one", customer: str = "a", day: float | None = None) -> Outcome:
    report = outcome(scored(customer, event_id), kind)
    return report if day is None else report.model_copy(update={"occurred_at": NOON + day * DAY})


END = reported("churned", "another", "z", day=200)


def rewards(decisions: list[Decision], *outcomes: Outcome, days: int = 90) -> tuple[dict[str, float], Counter[str]]:
    """By event; and what was left out, by reason."""
    skipped = Counter[str]()
    rewarded = decision_rewards(History(decisions, [*outcomes, END]), {"a": 60.0}, days * DAY, skipped)
    return {decision.event_id: reward for decision, reward in rewarded}, skipped


def test_a_reward_is_the_bill_by_the_day_less_discounts_and_messages() -> None:
    uncontacted = decided(contact=False)

    assert rewards([uncontacted])[0] == {"one": pytest.approx(180)}
    assert rewards([uncontacted], reported("churned", day=15))[0] == {"one": pytest.approx(30)}
    assert rewards([uncontacted], reported("churned", day=95))[0] == {"one": pytest.approx(180)}
    assert rewards([decided()], reported("declined"))[0] == {"one": pytest.approx(180 - 0.05)}
    assert rewards([decided()], reported("accepted"))[0] == {"one": pytest.approx(180 - 6 - 0.05)}
    assert rewards([decided()], reported("churned"), days=30)[0] == {"one": pytest.approx(-0.05)}, "at once"
    assert rewards([decided(customer="b")])[0] == {"one": pytest.approx(64.76 * 3 - 0.05)}, "the typical bill"


def test_later_decisions_within_the_days_are_part_of_the_first_reward_and_after_them_a_row_begins() -> None:
    decisions = [decided("one"), decided("two", day=20), decided("three", day=89.9), decided("four", day=90)]
    outcomes = reported("accepted", "two"), reported("churned", "four", day=105)
    result, skipped = rewards([decisions[2], *decisions], *outcomes)

    assert result == {"one": pytest.approx(180 - 6 - 0.15), "four": pytest.approx(30 - 0.05)}
    assert skipped == {"follows from an earlier one": 2}


def test_decisions_that_cannot_be_used_are_counted_by_reason() -> None:
    result, skipped = rewards(
        [
            decided("one", metadata={"observation": ()}),
            decided("two", day=1, metadata={"propensity": 0.0}),
            decided("three", day=2),
            decided("late", "b", day=111),
        ]
    )

    assert list(result) == ["three"]
    assert skipped == {"without an observation or a propensity": 2, "its days are not over": 1}


def test_a_log_without_a_usable_decision_is_refused_with_the_reasons() -> None:
    history = History([decided(day=150)], [END])
    with pytest.raises(HistoryError, match=r"no decision has .* 90 days of outcomes \(1 its days are not over\)"):
        bandit_table(history, {}, NETWORK, 90, Counter())


def test_the_logged_action_is_the_one_drawn_even_where_the_shield_withheld_it() -> None:
    assert logged_action(decided(contact=False)) == 0
    assert [logged_action(decided(level=level)) for level in range(4)] == [1, 2, 3, 4]
    assert logged_action(decided(contact=False, safety=Safety(passed=False))) == 3


def test_the_target_action_is_one_that_the_gate_allowed() -> None:
    output = [0.0, 1.0, 0.0, 0.0, 1.0, 2.0, *[0.0] * 9]  # 15 %, then 10 %

    def action(*gate: str, assumed: tuple[str, ...] = ()) -> int:
        return target_action(decided(metadata={"gate": gate, "assumed": assumed}), output)

    assert action() == 4
    assert action("cooldown") == 0
    assert action("offer 15 %: over budget") == 0, "it waits for the preferred offer"
    unknown = tuple(f"offer {percent} %: its cost is unknown without monthly_charges" for percent in OFFERS[1:])
    assert action(*unknown, assumed=("monthly_charges",)) == 1
    assert target_action(decided(), [1.0, 0.0, *output[2:]]) == 0


class ServiceRun(NamedTuple):
    """One decision about each of some customers at high risk, who like offers, and the outcomes."""

    customers: list[ScoredCustomer]
    decisions: list[Decision]
    outcomes: list[Outcome]

    def truth(self, candidate: Network) -> float:
        """The mean reward if the candidate had decided: exact, by the response model."""
        observations = np.array([decision.metadata.observation for decision in self.decisions], np.float32)
        outputs = candidate(observations).tolist()
        actions = map(target_action, self.decisions, outputs)
        return float(np.mean([*map(expected_reward, self.customers, actions)]))


def cumulative_hazard(customer: ScoredCustomer, level: int | None, accepted: bool) -> NDArray[np.float64]:
    """By the end of each day."""
    offer_days_left, contacts = (0, 0) if level is None else (RESPONSE_MODEL.effect_days[level] * accepted, 1)
    exposure = hazard_exposure(DAYS, offer_days_left, RESPONSE_MODEL.fatigue_days * contacts, contacts)
    return np.asarray(daily_hazard(np.array(customer.churn_risk)) * exposure)


def expected_reward(customer: ScoredCustomer, action: int) -> float:
    level, bill = (action - 1 if action else None), customer.monthly_charges or 0.0

    def revenue(accepted: bool) -> float:
        survival = np.exp(-cumulative_hazard(customer, level, accepted)[:91])
        return bill * float(np.trapezoid(survival)) / MONTH

    if level is None:
        return revenue(False)
    accept_prob = customer.accept_probs[level]
    income = accept_prob * (revenue(True) - bill * OFFERS[level] / 100) + (1 - accept_prob) * revenue(False)
    return income - RESPONSE_MODEL.contact_cost


async def simulated(policy: PPOPolicy, n: int, seed: int) -> ServiceRun:
    """A run of the policy over n customers, whose outcomes follow the response model."""
    rng, context = np.random.default_rng(seed), await policy_context(budget=1e6, policy=policy)
    accept, facts = np.sort(rng.uniform(0.3, 0.95, (n, 4))), rng.uniform((0.6, 20), (0.95, 110), (n, 2))
    customers = [
        scored(f"c{i}", churn_risk=facts[i, 0], monthly_charges=facts[i, 1], accept_probs=tuple(accept[i]))
        for i in range(n)
    ]
    messages = [message for [message] in await decide(customers, context=context)]
    decisions = [
        message if isinstance(message, Decision) else Decision.caused_by(message, message="Hi") for message in messages
    ]
    outcomes = []
    draws = zip(customers, decisions, rng.random(n), rng.exponential(size=n), strict=True)
    for customer, decision, accept_draw, churn_threshold in draws:
        level = decision.decision.offer_level if decision.decision.contact else None
        accepted = level is not None and accept_draw < customer.accept_probs[level]
        if level is not None:
            outcomes.append(outcome(customer, "accepted" if accepted else "declined"))
        hazard = cumulative_hazard(customer, level, accepted)
        if churn_threshold < hazard[-1]:
            churned_at = NOON + float(np.interp(churn_threshold, hazard, DAYS)) * DAY
            outcomes.append(outcome(customer, "churned").model_copy(update={"occurred_at": churned_at}))
    return ServiceRun(customers, decisions, outcomes)


@pytest.mark.slow
async def test_the_value_of_another_network_is_estimated_from_the_log_of_a_service_that_explores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the default regressor, from files to the estimate."""
    rarely_contacts = {"contact_b": np.array([1, 0], np.float32)}
    always_contacts = {"contact_b": np.array([0, 5], np.float32), "offer_b": np.eye(4, dtype=np.float32)[3] * 2}
    run = await simulated(PPOPolicy(network(**rarely_contacts), Exploration(0.8)), 2_000, seed=1)
    candidate = Network.load(artifact(tmp_path / "policy", **always_contacts))
    files = {name: tmp_path / f"{name}.jsonl" for name in ("decisions", "outcomes", "bills")}
    events = [
        CustomerEvent(**customer.model_dump(include={"id", "event_id", "customer_id", "monthly_charges"}))
        for customer in run.customers
    ]
    messages: tuple[Sequence[Message], ...] = (run.decisions, run.outcomes, events)
    for file, lines in zip(files.values(), messages, strict=True):
        file.write_text("not JSON\n" + "".join(f"{message.data.decode()}\n" for message in lines))
    late = outcome(run.customers[0], "accepted").model_copy(update={"occurred_at": datetime(2062, 5, 4, tzinfo=UTC)})
    with files["outcomes"].open("a") as outcomes_file:
        outcomes_file.write(late.model_dump_json())
    command = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    command += ["--policy", str(tmp_path / "policy"), str(tmp_path / "table.csv")]
    monkeypatch.setattr(sys, "argv", ["dataset", *command])

    dataset.main()

    assert capsys.readouterr().out.splitlines() == [
        f"2,000 rows are in {tmp_path / 'table.csv'}",
        *(f"left out: 1, {file.name}: not readable, first in line 1" for file in (*files.values(),)[:2]),
        "left out: 1, outcomes dated outside of the log, 2025-11-23 to 2026-03-23: 2062-05-04",
        "left out: 1, bills.jsonl: not readable, first in line 1",
    ]
    log, target = read_table(tmp_path / "table.csv")
    result, truth = estimate(log, target), run.truth(candidate)
    assert result.dr.low < truth < result.dr.high
    assert result.ips.low < truth < result.ips.high
    assert result.dr.mean == pytest.approx(truth, rel=0.05)
    assert result.gain.low > 0, "or the logged policy would do as well"
    assert result.dr.high - result.dr.low < 0.8 * (result.ips.high - result.ips.low)


async def test_the_targets_of_a_greedy_log_for_its_own_network_are_the_logged_actions() -> None:
    run = await simulated(PPOPolicy(NETWORK), 200, seed=2)
    bills = {customer.customer_id: customer.monthly_charges or 0.0 for customer in run.customers}
    table = bandit_table(History(run.decisions, run.outcomes), bills, NETWORK, 90, Counter())

    contexts = [*(f"obs_{number}" for number in range(9)), "bill"]
    assert list(table) == [*contexts, "action", "propensity", "reward", *(f"target_{number}" for number in range(5))]
    assert (table.filter(like="target_").to_numpy() == np.eye(5)[table["action"]]).all()
    assert table["action"].nunique() > 1
    assert pd.Series(bills.values()).equals(table["bill"])
