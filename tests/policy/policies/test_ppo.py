from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.customer.gate import NO_CONTACT, ActionMask
from services.policy.policies.base import Exploration
from services.policy.policies.network import NUM_DELAYS, NUM_OUTPUTS, Network
from services.policy.policies.observation import OBSERVATION, observation_of, observe
from services.policy.policies.ppo import PPOPolicy, action_distribution, greedy_action
from services.policy.response.dynamic_program import RULES
from services.policy.response.model import RESPONSE_MODEL, daily_hazard
from services.policy.response.scalar import value
from tests.policy.builders import ALL, scored, situation
from tests.policy.networks import artifact

Share, Logit = st.floats(0, 1), st.floats(-20, 20)
Said = st.lists(Logit, min_size=NUM_OUTPUTS, max_size=NUM_OUTPUTS)
Offers = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()).map(ActionMask)

EAGER = {
    "contact_b": np.array([0, 9], np.float32),
    "offer_b": np.array([0, 0, 9, 1], np.float32),
    "delay_b": np.eye(NUM_DELAYS, dtype="f")[5] * 9,
}


def said(contact: float = 0.0, offers: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0), delay: int = 0) -> list[float]:
    return [0.0, contact, *offers, *(float(day == delay) for day in range(NUM_DELAYS)), 7.0]


@given(
    risk=Share,
    accept=st.tuples(Share, Share, Share, Share),
    price=st.floats(0, 1e6),
    days_since_contact=st.floats(0, 100) | st.just(inf),
    offer_days_left=st.integers(0, 60),
    contacts=st.integers(0, 5),
)
def test_one_is_observed_as_many_are_in_training(
    risk: float, accept: tuple[float, ...], price: float, days_since_contact: float, offer_days_left: int, contacts: int
) -> None:
    customer = scored(churn_risk=risk, accept_probs=accept)
    one = observation_of(
        situation(
            customer,
            days_since_contact=days_since_contact,
            offer_days_left=offer_days_left,
            contacts=contacts,
            price=price,
        )
    )

    facts = (
        daily_hazard(np.array([risk])),
        np.array(accept)[:, None],
        price,
        days_since_contact,
        np.array([offer_days_left]),
        contacts,
    )
    many = observe(np.empty((len(OBSERVATION), 1)), *facts, RESPONSE_MODEL, RULES)
    assert one == pytest.approx(many[:, 0].tolist(), abs=1e-12)


def test_contact_is_made_where_it_is_likelier_than_not() -> None:
    assert greedy_action(said(contact=0.1), ALL, True)[0] == 0
    assert greedy_action(said(contact=0.0), ALL, True)[0] is None
    assert greedy_action(said(contact=-0.1), ALL, True)[0] is None


def test_the_likeliest_offer_is_made_after_the_likeliest_delay() -> None:
    wants = said(contact=1.0, offers=(0.1, 0.3, 0.2, 0.9), delay=6)

    assert greedy_action(wants, ALL, True) == (3, 6)
    assert greedy_action(wants, ActionMask(NO_CONTACT), True) == (None, 6)


def test_an_offer_that_there_is_no_money_for_is_waited_for() -> None:
    wants, dear = said(contact=1.0, offers=(0.1, 0.3, 0.2, 0.9), delay=6), ActionMask((True, True, True, False))

    assert greedy_action(wants, dear, can_wait=True) == (None, 6)
    assert greedy_action(said(contact=1.0, offers=(0.1, 0.3, 0.2, 0.9)), dear, can_wait=True) == (None, 1), (
        "for a day at least"
    )
    assert greedy_action(wants, dear, can_wait=False) == (1, 6), "where the bill is not known it would wait for ever"


@given(said=Said, allowed=Offers, can_wait=st.booleans())
def test_its_distribution_is_over_what_is_allowed(said: list[float], allowed: ActionMask, can_wait: bool) -> None:
    probs = action_distribution(said, allowed, can_wait)

    assert sum(probs) == pytest.approx(1)
    assert all(p >= 0 for p in probs)
    assert all(p == 0 for p, free in zip(probs[1:], allowed.offers, strict=True) if not free)
    assert allowed.contact or probs[0] == 1


def test_its_distribution_is_the_masked_softmax_where_it_cannot_wait() -> None:
    wants = said(contact=1.0, offers=(0.0, 1.0, 2.0, 3.0))
    probs = action_distribution(wants, ActionMask((True, False, True, True)), can_wait=False)

    contact, offers = np.exp(1) / (1 + np.exp(1)), np.exp([0, 2, 3]) / np.exp([0, 2, 3]).sum()
    assert probs == pytest.approx([1 - contact, contact * offers[0], 0, contact * offers[1], contact * offers[2]])


def test_an_offer_that_is_waited_for_is_not_drawn_as_a_lesser_one() -> None:
    wants, dear = said(contact=1.0, offers=(0.0, 1.0, 2.0, 3.0)), ActionMask((True, True, False, False))

    probs, paid = action_distribution(wants, dear, can_wait=True), action_distribution(wants, ALL, can_wait=True)

    assert probs == pytest.approx([paid[0] + paid[3] + paid[4], paid[1], paid[2], 0, 0])


def test_who_explores_waits_too(tmp_path: Path) -> None:
    """It prefers what costs too much by far, so all but a few of its draws are to wait."""
    policy = PPOPolicy(Network.load(artifact(tmp_path / "policy", **EAGER)), Exploration(1.0))
    dear = ActionMask((True, False, False, False))
    choices = [policy.choose(situation(scored(event_id=str(n)), dear)) for n in range(200)]

    assert sum(choice.level is None for choice in choices) > 190
    assert all(c.propensity == c.action_probs[0 if c.level is None else 1 + c.level] for c in choices)


def test_it_takes_what_its_network_prefers(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy", **EAGER))
    choice = PPOPolicy(network).choose(situation())

    assert (choice.level, choice.delay_days, choice.propensity) == (2, 5, 1.0)
    assert (choice.expected_value, choice.retention) == value(situation(), 2)
    assert PPOPolicy(network).version == network.manifest.version


def test_it_explores_by_its_own_preference_and_never_beyond_the_gate(tmp_path: Path) -> None:
    network = Network.load(artifact(tmp_path / "policy"))
    allowed = ActionMask((True, False, True, False))
    choices = [
        PPOPolicy(network, Exploration(0.5)).choose(situation(scored(event_id=str(n)), allowed)) for n in range(300)
    ]

    said = network(np.array(observation_of(situation()), np.float32)).tolist()
    best, delay = greedy_action(said, allowed, True)
    mixed = [0.5 * p for p in action_distribution(said, allowed, True)]
    mixed[0 if best is None else best + 1] += 0.5
    assert all(c.action_probs == pytest.approx(mixed) and c.delay_days == delay for c in choices)
    assert {c.level for c in choices} == {None, 0, 2}
