"""What the service decided and what became of it, until another network is judged by it."""

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from services.policy.handlers.decide import decide
from services.policy.policies.base import Exploration
from services.policy.policies.network import Network
from services.policy.policies.ppo import PPOPolicy
from services.policy.response.model import MONTH, RESPONSE_MODEL, daily_hazard, hazard_exposure
from shared.artifacts import Manifest
from shared.messages import OFFERS, Action, CustomerEvent, Decision, Metadata, Outcome, Safety, ScoredCustomer
from tests.policy.builders import NOON, context, outcome, scored
from tests.policy.networks import arrays, artifact
from training.policy.ope import dataset
from training.policy.ope.bandit_log import TableError, read
from training.policy.ope.dataset import History, action, table, targeted
from training.policy.ope.ope import estimate

DAY = timedelta(days=1)
DAYS = np.arange(121)
"""That the log goes on for."""
SEEN = (0.8, 0.1, 0.3, 0.6, 0.7, 0.5, 1.0, 0.0, 0.0)
NETWORK = Network(arrays(), Manifest(version="", made_by="", inputs={}, data_sha256={}, metrics={}))


def network(**other: np.ndarray) -> Network:
    return Network({**arrays(), **other}, NETWORK.manifest)


def decided(
    event_id: str = "one", customer: str = "a", day: float = 0, contact: bool = True, level: int = 2, **more: Any
) -> Decision:
    facts = {"churn_risk": 0.8, "accept_prob": 0.6, "accept_probs": (0.1, 0.3, 0.6, 0.7), "expected_value": 0.0}
    probs = {"propensity": 0.4, "action_probs": (0.3, 0.1, 0.1, 0.4, 0.1), "policy": "ppo", "observation": SEEN}
    offer = {"offer_level": level, "offer_percentage": OFFERS[level]} if contact else {}
    return Decision(
        id=outcome(scored(customer, event_id), "accepted").id,
        event_id=event_id,
        customer_id=customer,
        decision=Action(contact=contact, **offer, estimated_retention_prob=0.5),
        metadata=Metadata(**{**facts, **probs, **more.pop("metadata", {})}),
        times={"decided_at": NOON + day * DAY},
        **more,
    )


def became(word: str, event_id: str = "one", customer: str = "a", day: float | None = None) -> Outcome:
    said = outcome(scored(customer, event_id), word)
    return said if day is None else said.model_copy(update={"occurred_at": NOON + day * DAY})


END = became("churned", "another", "z", day=200)


def rewards(decisions: list[Decision], *outcomes: Outcome, days: int = 90) -> tuple[dict[str, float], Counter[str]]:
    """By event."""
    skipped = Counter[str]()
    history = History(decisions, [*outcomes, END], {"a": 60.0})
    return {each.event_id: reward for each, reward in history.firsts(days * DAY, skipped)}, skipped


def test_a_reward_is_the_bill_by_the_day_less_discounts_and_messages() -> None:
    nobody = decided(contact=False)

    assert rewards([nobody])[0] == {"one": pytest.approx(180)}
    assert rewards([nobody], became("churned", day=15))[0] == {"one": pytest.approx(30)}
    assert rewards([nobody], became("churned", day=95))[0] == {"one": pytest.approx(180)}
    assert rewards([decided()], became("declined"))[0] == {"one": pytest.approx(180 - 0.05)}
    assert rewards([decided()], became("accepted"))[0] == {"one": pytest.approx(180 - 6 - 0.05)}
    assert rewards([decided()], became("churned"), days=30)[0] == {"one": pytest.approx(-0.05)}, "at once"
    assert rewards([decided(customer="b")])[0] == {"one": pytest.approx(64.76 * 3 - 0.05)}, "the typical bill"


def test_what_follows_within_the_days_is_in_the_first_reward_and_after_them_a_customer_counts_again() -> None:
    decisions = [decided("one"), decided("two", day=20), decided("three", day=89.9), decided("four", day=90)]
    found, skipped = rewards([decisions[2], *decisions], became("accepted", "two"), became("churned", "four", day=105))

    assert found == {"one": pytest.approx(180 - 6 - 0.15), "four": pytest.approx(30 - 0.05)}
    assert skipped == {"follows from an earlier one": 2}


def test_what_cannot_count_is_counted() -> None:
    blind, never = {"metadata": {"observation": ()}}, {"metadata": {"propensity": 0.0}}
    found, skipped = rewards(
        [
            decided("one", **blind),
            decided("two", day=1, **never),
            decided("three", day=2),
            decided("late", "b", day=111),
        ]
    )

    assert list(found) == ["three"]
    assert skipped == {"without an observation or a propensity": 2, "its days are not over": 1}


def test_where_nobody_is_said_to_have_left_it_is_not_known_who_stayed() -> None:
    with pytest.raises(TableError, match="who churned"):
        History([decided()], [became("accepted")], {})


def test_an_action_is_the_one_drawn_though_it_was_withheld() -> None:
    assert action(decided(contact=False)) == 0
    assert [action(decided(level=level)) for level in range(4)] == [1, 2, 3, 4]
    assert action(decided(contact=False, safety=Safety(passed=False))) == 3


def test_the_network_is_held_to_the_same_gate() -> None:
    likes = [0.0, 1.0, 0.0, 0.0, 1.0, 2.0, *[0.0] * 9]  # 15 %, then 10 %

    def does(*gate: str, assumed: tuple[str, ...] = ()) -> int:
        return targeted(decided(metadata={"gate": gate, "assumed": assumed}), likes)

    assert does() == 4
    assert does("cooldown") == 0
    assert does("offer 15 %: over budget") == 0, "it waits"
    unknown = tuple(f"offer {percent} %: its cost is unknown without monthly_charges" for percent in OFFERS[1:])
    assert does(*unknown, assumed=("monthly_charges",)) == 1
    assert targeted(decided(), [1.0, 0.0, *likes[2:]]) == 0


class ServiceRun(NamedTuple):
    """One decision each about customers at high risk, who like offers, and what became of them."""

    customers: list[ScoredCustomer]
    decisions: list[Decision]
    outcomes: list[Outcome]

    def truth(self, candidate: Network) -> float:
        """The mean reward if the candidate had decided: exact, by the assumed world."""
        seen = np.array([each.metadata.observation for each in self.decisions], np.float32)
        each = zip(self.customers, self.decisions, candidate(seen).tolist(), strict=True)
        return float(np.mean([expected(who, targeted(decision, said)) for who, decision, said in each]))


def cumulative_hazard(who: ScoredCustomer, level: int | None, accepted: bool) -> np.ndarray:
    """By the end of each day."""
    offer_days_left, contacts = (0, 0) if level is None else (RESPONSE_MODEL.effect_days[level] * accepted, 1)
    return daily_hazard(np.array(who.churn_risk)) * hazard_exposure(
        DAYS, offer_days_left, RESPONSE_MODEL.fatigue_days * contacts, contacts
    )


def expected(who: ScoredCustomer, taken: int) -> float:
    level, bill = (taken - 1 if taken else None), who.monthly_charges or 0.0

    def paid(accepted: bool) -> float:
        return bill * float(np.trapezoid(np.exp(-cumulative_hazard(who, level, accepted)[:91]))) / MONTH

    if level is None:
        return paid(False)
    accept = who.accept_probs[level]
    accepts = accept * (paid(True) - bill * OFFERS[level] / 100) + (1 - accept) * paid(False)
    return accepts - RESPONSE_MODEL.contact_cost


async def lived(policy: PPOPolicy, n: int, seed: int) -> ServiceRun:
    rng, at = np.random.default_rng(seed), await context(budget=1e6, policy=policy)
    accept, facts = np.sort(rng.uniform(0.3, 0.95, (n, 4))), rng.uniform((0.6, 20), (0.95, 110), (n, 2))
    customers = [
        scored(f"c{i}", churn_risk=facts[i, 0], monthly_charges=facts[i, 1], accept_probs=tuple(accept[i]))
        for i in range(n)
    ]
    said = [message for [message] in await decide(customers, context=at)]
    decisions = [each if isinstance(each, Decision) else Decision.caused_by(each, message="Hi") for each in said]
    outcomes = []
    for who, decision, luck, leaves in zip(customers, decisions, rng.random(n), rng.exponential(size=n), strict=True):
        level = decision.decision.offer_level if decision.decision.contact else None
        accepted = level is not None and luck < who.accept_probs[level]
        if level is not None:
            outcomes.append(outcome(who, "accepted" if accepted else "declined"))
        after = cumulative_hazard(who, level, accepted)
        if leaves < after[-1]:
            left = NOON + float(np.interp(leaves, after, DAYS)) * DAY
            outcomes.append(outcome(who, "churned").model_copy(update={"occurred_at": left}))
    return ServiceRun(customers, decisions, outcomes)


async def test_another_network_is_judged_by_the_log_of_a_service_that_explores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the usual regressor, from files to the estimate."""
    shy, eager = (
        {"contact_b": np.float32([1, 0])},
        {"contact_b": np.float32([0, 5]), "offer_b": np.eye(4, dtype="f")[3] * 2},
    )
    life = await lived(PPOPolicy(network(**shy), Exploration(0.8)), 2_000, seed=1)
    candidate = Network.load(artifact(tmp_path / "policy", **eager))
    files = {name: tmp_path / f"{name}.jsonl" for name in ("decisions", "outcomes", "bills")}
    events = [
        CustomerEvent(**who.model_dump(include={"id", "event_id", "customer_id", "monthly_charges"}))
        for who in life.customers
    ]
    for file, messages in zip(files.values(), (life.decisions, life.outcomes, events), strict=True):
        file.write_text("".join(f"{each.data.decode()}\n" for each in messages) + "not JSON\n")
    command = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    command += ["--policy", str(tmp_path / "policy"), str(tmp_path / "table.csv")]
    monkeypatch.setattr(sys, "argv", ["logged", *command])

    dataset.main()

    assert capsys.readouterr().out.splitlines() == [
        f"2,000 rows are in {tmp_path / 'table.csv'}",
        *(f"left out: 1, not readable in {file.name}" for file in files.values()),
    ]
    log, target = read(tmp_path / "table.csv")
    found, truth = estimate(log, target), life.truth(candidate)
    assert found.dr.low < truth < found.dr.high
    assert found.ips.low < truth < found.ips.high
    assert found.dr.mean == pytest.approx(truth, rel=0.05)
    assert found.gain.low > 0, "or the log's own policy would do as well"
    assert found.dr.high - found.dr.low < 0.8 * (found.ips.high - found.ips.low)


async def test_the_logs_own_policy_is_worth_what_it_brought() -> None:
    """The columns of the table, and a greedy log."""
    life = await lived(PPOPolicy(NETWORK), 200, seed=2)
    bills = {who.customer_id: who.monthly_charges or 0.0 for who in life.customers}
    found = table(History(life.decisions, life.outcomes, bills), NETWORK, 90, Counter())

    contexts = [*(f"obs_{number}" for number in range(9)), "bill"]
    assert list(found) == [*contexts, "action", "propensity", "reward", *(f"target_{number}" for number in range(5))]
    assert (found.filter(like="target_").to_numpy() == np.eye(5)[found["action"]]).all()
    assert found["action"].nunique() > 1
    assert pd.Series(bills.values()).equals(found["bill"])
