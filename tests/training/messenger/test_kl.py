import numpy as np
import pytest

from training.messenger.kl import AdaptiveKL, FactorKL, FixedKL


def test_an_adaptive_step_is_as_computed_by_hand() -> None:
    controller = AdaptiveKL(target=4.0, beta=0.1, horizon=1_000)

    assert controller.step(4.4, 100) == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    assert controller.step(40.0, 100) == pytest.approx(0.1 * 1.01 * 1.02), "the error is clipped to 0.2"
    assert controller.step(0.0, 100) == pytest.approx(0.1 * 1.01 * 1.02 * 0.98)


def test_the_unsmoothed_rule_multiplies_above_the_target_and_divides_below_half_of_it() -> None:
    controller = FactorKL(target=4.0, beta=0.1, unsmoothed=True)

    assert controller.step(4.1, 1) == pytest.approx(0.15)
    assert controller.step(3.0, 1) == pytest.approx(0.15), "constant between half of the target and the target"
    assert controller.step(1.9, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("controller", [AdaptiveKL(target=4.0, beta=0.1), FactorKL(target=4.0, beta=0.1)])
def test_beta_is_constant_until_kl_exceeds_half_of_the_target(controller: AdaptiveKL | FactorKL) -> None:
    assert {controller.step(0.0, 1) for _ in range(50)} == {0.1}


def test_the_smoothed_factor_rule_acts_every_few_batches_and_within_bounds() -> None:
    controller = FactorKL(target=4.0, beta=0.1)
    betas = [controller.step(100.0, 1) for _ in range(100)]

    assert betas[:4] == [0.1] * 4
    assert betas[4] == pytest.approx(0.15)
    assert betas[-1] == 2.0
    assert FactorKL(4.0, beta=0.1).bounds[0] == 0.005


@pytest.mark.parametrize("controller", [AdaptiveKL(4.0, beta=0.05), FactorKL(4.0, beta=0.05)])
def test_kl_of_a_policy_that_responds_with_delay_is_held_near_the_target(controller: AdaptiveKL | FactorKL) -> None:
    """A policy that moves a tenth of the way to the balance of reward and penalty, 0.4 / β nats, each batch."""
    kl, history = 0.0, []
    for _ in range(300):
        kl += 0.1 * (0.4 / controller.step(kl, 128) - kl)
        history.append(kl)

    assert 0.5 * 4 <= np.mean(history[150:]) <= 1.2 * 4


def test_the_unsmoothed_rule_lowers_beta_before_the_policy_has_moved() -> None:
    unsmoothed, smoothed = FactorKL(4.0, beta=0.1, unsmoothed=True), FactorKL(4.0, beta=0.1)
    for _ in range(10):
        unsmoothed.step(0.1, 1)
        smoothed.step(0.1, 1)

    assert unsmoothed.beta < 0.002
    assert smoothed.beta == 0.1


def test_a_fixed_coefficient_ignores_the_divergence() -> None:
    controller = FixedKL(target=6.0, beta=0.3)

    assert [controller.step(kl, 999) for kl in (0.0, 6.0, 99.0)] == [0.3] * 3
