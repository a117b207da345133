import numpy as np
import pytest

from training.messenger.kl import AdaptiveKL, Factor


def test_a_proportional_step_by_hand() -> None:
    rule = AdaptiveKL(target=4.0, beta=0.1, horizon=1_000)

    assert rule.step(4.4, 100) == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    assert rule.step(40.0, 100) == pytest.approx(0.1 * 1.01 * 1.02), "clipped at a fifth"
    assert rule.step(0.0, 100) == pytest.approx(0.1 * 1.01 * 1.02 * 0.98)


def test_the_raw_rule_is_the_mission_s() -> None:
    rule = Factor(target=4.0, beta=0.1, raw=True)

    assert rule.step(4.1, 1) == pytest.approx(0.15)
    assert rule.step(3.0, 1) == pytest.approx(0.15), "between half the target and the target nothing moves"
    assert rule.step(1.9, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("rule", [AdaptiveKL(target=4.0, beta=0.1), Factor(target=4.0, beta=0.1)])
def test_steady_rules_wait_until_half_of_the_target_was_seen(rule: AdaptiveKL | Factor) -> None:
    assert {rule.step(0.0, 1) for _ in range(50)} == {0.1}


def test_the_steady_rule_acts_every_few_batches_and_stays_within_bounds() -> None:
    rule = Factor(target=4.0, beta=0.1)
    betas = [rule.step(100.0, 1) for _ in range(100)]

    assert betas[:4] == [0.1] * 4
    assert betas[4] == pytest.approx(0.15)
    assert betas[-1] == 2.0
    assert Factor(4.0, beta=0.1).bounds[0] == 0.005


@pytest.mark.parametrize("rule", [AdaptiveKL(4.0, beta=0.05), Factor(4.0, beta=0.05)])
def test_steady_rules_hold_a_policy_that_answers_late_near_its_target(rule: AdaptiveKL | Factor) -> None:
    """A policy that goes a tenth of the way to where reward and penalty balance, 0.4 / β nats, each batch."""
    kl, path = 0.0, []
    for _ in range(300):
        kl += 0.1 * (0.4 / rule.step(kl, 128) - kl)
        path.append(kl)

    assert 0.5 * 4 <= np.mean(path[150:]) <= 1.2 * 4


def test_the_raw_rule_gives_its_grip_away_before_the_policy_has_moved() -> None:
    raw, steady = Factor(4.0, beta=0.1, raw=True), Factor(4.0, beta=0.1)
    for _ in range(10):
        raw.step(0.1, 1)
        steady.step(0.1, 1)

    assert raw.beta < 0.002
    assert steady.beta == 0.1
