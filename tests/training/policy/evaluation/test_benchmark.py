"""How near to the bound: nothing above it by more than luck, whoever is judged."""

import numpy as np
import pytest

from services.policy.response.model import Customers
from training.policy.evaluation.benchmark import BUDGETS, Benchmark, BenchmarkResult, baselines
from training.policy.evaluation.bound import LagrangianBound
from training.policy.evaluation.policies import IndexPolicy, MyopicPolicy, NoContactPolicy, ThresholdPolicy
from training.policy.simulation.campaign import CampaignResult

DRAWN = np.random.default_rng(12)
CUSTOMERS = Customers(
    DRAWN.uniform(0.0005, 0.012, 60), np.sort(DRAWN.beta(2, 10, (60, 4)), axis=1), DRAWN.uniform(20, 115, 60)
)
BENCHMARK = Benchmark(CUSTOMERS, copies=2, seeds=range(3))
LARGE = Benchmark(CUSTOMERS, copies=40, seeds=range(12))
CHEAP = {name: policy for name, policy in baselines(CUSTOMERS).items() if name != "threshold"}


def test_a_share_is_of_the_bound() -> None:
    judged = BenchmarkResult(
        [CampaignResult(incremental_value=8.0), CampaignResult(incremental_value=10.0)], bound=10.0
    )

    assert judged.shares_of_bound.tolist() == [0.8, 1.0]
    assert judged.share_of_bound.mean == pytest.approx(0.9)


@pytest.mark.parametrize("share", BUDGETS)
def test_budget_and_bound_are_those_of_all_copies(share: float) -> None:
    once = LagrangianBound(CUSTOMERS)
    budget = share * once.unconstrained_spend

    assert BENCHMARK.budget(share) == pytest.approx(2 * budget)
    assert BENCHMARK.upper_bound(share) == pytest.approx(2 * once.at_budget(budget).upper_bound(budget))
    assert BENCHMARK.dual(share) == once.at_budget(budget)


@pytest.mark.parametrize("share", BUDGETS)
def test_the_best_is_near_the_bound_and_not_above_it(share: float) -> None:
    """`Dual.net_value` is after the price of money, whatever is spent; so the accounts' is, too."""
    dual = LARGE.dual(share)
    judged = LARGE.evaluate(IndexPolicy(CUSTOMERS, dual.price * np.linspace(0.5, 1.5, 5)), share)

    net = np.array([account.incremental_value - dual.price * account.spend for account in judged.accounts])
    luck = 3 * net.std(ddof=1) / len(net) ** 0.5
    assert net.mean() - luck < LARGE.copies * dual.net_value, "a fault in the bound or in the quarter"
    assert luck < 0.05 * judged.bound, "or 5 % above the bound would not show"
    assert judged.share_of_bound.mean > 0.9


@pytest.mark.parametrize("share", BUDGETS)
def test_the_baselines_are_below_the_bound(share: float) -> None:
    for name, cheap in CHEAP.items():
        assert BENCHMARK.evaluate(cheap(share), share).share_of_bound.mean < 1, name


def test_unlimited_money_gains_the_bound_of_free_money() -> None:
    found = BENCHMARK.evaluate(IndexPolicy(CUSTOMERS, np.zeros(1), reprice=False), 20.0).share_of_bound

    assert BENCHMARK.upper_bound(20.0) == pytest.approx(2 * LagrangianBound(CUSTOMERS).at_price(0.0).net_value)
    assert found.low < 1 < found.high


def test_every_quarter_of_a_court_has_its_own_luck_and_the_same_for_everyone() -> None:
    first, again = (BENCHMARK.evaluate(MyopicPolicy(), 0.3).shares_of_bound.tolist() for _ in range(2))

    assert first == again
    assert len(set(first)) == 3


def test_the_threshold_is_the_best_of_all_for_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (0.25, 3, 12)
    monkeypatch.setattr("training.policy.evaluation.benchmark.THRESHOLDS", values)
    court = Benchmark(CUSTOMERS, copies=1, seeds=(7,))
    chosen = baselines(CUSTOMERS)["threshold"](0.3)

    def gained(policy: ThresholdPolicy) -> float:
        return court.evaluate(policy, 0.3).accounts[0].incremental_value

    others = [gained(ThresholdPolicy(value, level)) for value in values for level in (1, 2, 3)]
    assert gained(chosen) == max(others) > min(others)


def test_doing_nothing_is_no_share() -> None:
    assert BENCHMARK.evaluate(NoContactPolicy(), 0.3).shares_of_bound.tolist() == [0.0] * 3
