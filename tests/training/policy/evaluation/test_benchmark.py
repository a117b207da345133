"""The benchmark: no policy exceeds the bound by more than chance."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.bound import LagrangianBound
from training.policy.evaluation.benchmark import BUDGETS, Benchmark, BenchmarkResult, baselines
from training.policy.evaluation.policies import IndexPolicy, MyopicPolicy, NoContactPolicy, ThresholdPolicy
from training.policy.simulation.campaign import CampaignResult

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(12)
CUSTOMERS = Customers(
    RNG.uniform(0.0005, 0.012, 60), np.sort(RNG.beta(2, 10, (60, 4)), axis=1), RNG.uniform(20, 115, 60)
)
BENCHMARK = Benchmark(CUSTOMERS, copies=2, seeds=range(3))
LARGE_BENCHMARK = Benchmark(CUSTOMERS, copies=40, seeds=range(12))
UNTUNED = {name: policy for name, policy in baselines(CUSTOMERS).items() if name != "threshold"}


def test_shares_are_of_the_bound() -> None:
    result = BenchmarkResult([CampaignResult(incremental_value=value) for value in (8.0, 10.0)], bound=10.0)

    assert result.shares_of_bound.tolist() == [0.8, 1.0]
    assert result.share_of_bound.mean == pytest.approx(0.9)


@pytest.mark.parametrize("share", BUDGETS)
def test_budget_and_bound_are_those_of_all_copies(share: float) -> None:
    single = LagrangianBound(CUSTOMERS)
    budget = share * single.unconstrained_spend

    assert BENCHMARK.budget(share) == pytest.approx(2 * budget)
    assert BENCHMARK.upper_bound(share) == pytest.approx(2 * single.at_budget(budget).upper_bound(budget))
    assert BENCHMARK.dual(share) == single.at_budget(budget)


@pytest.mark.parametrize("share", BUDGETS)
def test_the_index_policy_is_near_the_bound_and_not_above_it(share: float) -> None:
    """`Dual.net_value` is after the shadow price of the spend, whatever is spent; so it is compared with the same."""
    dual = LARGE_BENCHMARK.dual(share)
    result = LARGE_BENCHMARK.evaluate(IndexPolicy(CUSTOMERS, dual.price * np.linspace(0.5, 1.5, 5)), share)

    net = np.array([campaign.incremental_value - dual.price * campaign.spend for campaign in result.campaigns])
    error = 3 * net.std(ddof=1) / len(net) ** 0.5
    assert net.mean() - error < LARGE_BENCHMARK.copies * dual.net_value, "a fault in the bound or in the campaign"
    assert error < 0.05 * result.bound, "or 5 % above the bound would not show"
    assert result.share_of_bound.mean > 0.9


@pytest.mark.parametrize("share", BUDGETS)
def test_the_baselines_are_below_the_bound(share: float) -> None:
    for name, policy in UNTUNED.items():
        assert BENCHMARK.evaluate(policy(share), share).share_of_bound.mean < 1, name


def test_with_an_unlimited_budget_the_optimal_policy_reaches_the_bound_at_price_zero() -> None:
    share = BENCHMARK.evaluate(IndexPolicy(CUSTOMERS, np.zeros(1), reprice=False), 20.0).share_of_bound

    assert BENCHMARK.upper_bound(20.0) == pytest.approx(2 * LagrangianBound(CUSTOMERS).at_price(0.0).net_value)
    assert share.low < 1 < share.high


def test_campaigns_have_different_random_numbers_that_are_the_same_for_every_policy() -> None:
    first, again = (BENCHMARK.evaluate(MyopicPolicy(), 0.3).shares_of_bound.tolist() for _ in range(2))

    assert first == again
    assert len(set(first)) == 3


def test_the_threshold_is_tuned_for_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (0.25, 3, 12)
    monkeypatch.setattr("training.policy.evaluation.benchmark.THRESHOLDS", values)
    tuning = Benchmark(CUSTOMERS, copies=1, seeds=(7,))
    tuned = baselines(CUSTOMERS)["threshold"](0.3)
    assert isinstance(tuned, ThresholdPolicy)

    def value(policy: ThresholdPolicy) -> float:
        return tuning.evaluate(policy, 0.3).campaigns[0].incremental_value

    candidates = [value(ThresholdPolicy(threshold, level)) for threshold in values for level in (1, 2, 3)]
    assert value(tuned) == max(candidates) > min(candidates)


def test_contacting_nobody_has_no_share_of_the_bound() -> None:
    assert BENCHMARK.evaluate(NoContactPolicy(), 0.3).shares_of_bound.tolist() == [0.0] * 3
