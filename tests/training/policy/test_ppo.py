"""PPO-Lagrangian: advantages, losses, rollouts and updates, each against values worked out by hand."""

import subprocess
import sys
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import Customers, incremental_value
from training.policy import customers, ppo
from training.policy.bound import LagrangianBound
from training.policy.customers import Population
from training.policy.network import ActorCritic, Heads, entropy, load_network, log_probability, save_network
from training.policy.ppo import (
    Batch,
    PPOArgs,
    Trainer,
    clipped_surrogate_loss,
    compute_gae,
    explained_variance,
    optimal_prices,
    value_loss,
)

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(5)
CUSTOMERS = Customers(
    RNG.uniform(0.001, 0.01, 60), np.sort(RNG.uniform(0.02, 0.4, (60, 4)), axis=1), RNG.uniform(20, 110, 60)
)
SMALL = PPOArgs(num_updates=3, num_envs=64, num_steps=4, minibatch_size=128)


def column(*values: float) -> np.ndarray:
    """Steps of one customer [num_steps, 1]."""
    return np.array(values, dtype=float)[:, None]


def test_gae_by_hand() -> None:
    # λ^days is part of `gae_decay`: 0.9 · survival. The last step bootstraps with the value after the rollout.
    advantages = compute_gae(
        rewards=column(1.0, 0.0, 2.0),
        values=column(0.5, 1.0, 1.5),
        next_values=column(1.0, 1.5, 3.0),
        survival=column(0.8, 1.0, 0.5),
        gae_decay=column(0.72, 0.9, 0.45),
    )

    last = 2.0 + 0.5 * 3.0 - 1.5  # 2.0
    middle = 0.0 + 1.0 * 1.5 - 1.0 + 0.9 * last  # 2.3
    first = 1.0 + 0.8 * 1.0 - 0.5 + 0.72 * middle  # 2.956
    assert advantages[:, 0] == pytest.approx([first, middle, last])
    assert first == pytest.approx(2.956)


def test_with_lambda_0_an_advantage_is_the_one_step_td_error() -> None:
    values, next_values = column(0.5, 1.0), column(1.0, 3.0)
    advantages = compute_gae(column(1.0, 2.0), values, next_values, survival=column(0.8, 0.5), gae_decay=column(0, 0))

    assert advantages[:, 0] == pytest.approx([1 + 0.8 * 1 - 0.5, 2 + 0.5 * 3 - 1])


def test_a_truncated_episode_bootstraps_and_takes_nothing_from_the_next_customer() -> None:
    advantages = compute_gae(
        column(1, 5), column(0, 0), next_values=column(4, 0), survival=column(1, 1), gae_decay=column(0, 0)
    )

    assert advantages[0, 0] == 1 + 4, "bootstrapped, and nothing of the 5"


def test_without_values_and_decay_an_advantage_is_the_sum_of_the_rewards_to_come() -> None:
    ones, zeros = column(1, 1, 1), column(0, 0, 0)

    assert compute_gae(column(1, 2, 4), zeros, zeros, ones, ones)[:, 0] == pytest.approx([7, 6, 4])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "has_gradient"),
    [
        (1.1, 2.0, -2.2, True),  # inside: r·A
        (1.5, 2.0, -2.4, False),  # better already by more than the clip: no further
        (0.5, 2.0, -1.0, True),  # worse: the clip does not hold it back
        (0.5, -2.0, 1.6, False),
        (1.5, -2.0, 3.0, True),
    ],
)
def test_the_clipped_surrogate_loss_by_hand(ratio: float, advantage: float, loss: float, has_gradient: bool) -> None:
    log_ratio = torch.tensor([log(ratio)], requires_grad=True)
    result = clipped_surrogate_loss(log_ratio, torch.tensor([advantage]), clip_coef=0.2)
    result.backward()

    assert result.item() == pytest.approx(loss, rel=1e-5)
    assert bool(log_ratio.grad.abs().item() > 1e-6) is has_gradient


def test_the_value_loss_is_the_mean_squared_error() -> None:
    assert value_loss(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item() == 5.0


def test_explained_variance_is_1_for_perfect_values_and_0_for_constant_ones() -> None:
    returns = torch.tensor([1.0, 2.0, 4.0])

    assert explained_variance(returns + 7, returns) == pytest.approx(1)
    assert explained_variance(torch.full((3,), 5.0), returns) == pytest.approx(0)
    assert explained_variance(-returns, returns) == pytest.approx(-3)
    assert explained_variance(returns, torch.ones(3)) == 0


def test_the_same_seed_trains_the_same_network() -> None:
    first, second = (Trainer(SMALL, CUSTOMERS).train().network.state_dict() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_raises_the_incremental_value() -> None:
    args = PPOArgs(num_updates=60, num_envs=256, num_steps=8, minibatch_size=512, budgets=(1.0,), seed=1)
    values = [update.incremental_value for update in Trainer(args, CUSTOMERS).train().history]

    assert np.mean(values[-10:]) > np.mean(values[:5]) + 1


def test_training_ends_when_its_time_is_up() -> None:
    assert len(Trainer(PPOArgs(max_seconds=0.5, num_envs=64, num_steps=4), CUSTOMERS).train().history) < 400


def test_the_fatigue_multiplier_rises_without_a_mask_and_stays_at_0_with_one() -> None:
    args = PPOArgs(num_updates=5, num_envs=64)
    masked, unmasked = (
        Trainer(replace(args, action_mask=mask), CUSTOMERS).train().history[-1] for mask in (True, False)
    )

    assert masked.fatigue_price == 0
    assert unmasked.fatigue_price > 0


def test_the_price_rises_in_a_market_that_overspends_and_falls_in_one_that_underspends() -> None:
    history = Trainer(PPOArgs(num_updates=12, num_envs=256, budgets=(0.05, 5.0)), CUSTOMERS).train().history

    assert history[-1].prices[0] > 1 > history[-1].prices[1]


def test_optimal_prices_are_those_at_which_the_optimum_spends_the_budgets() -> None:
    bound = LagrangianBound(CUSTOMERS)
    unconstrained = bound.unconstrained_spend

    for share, price in zip((0.1, 0.5, 1.0), optimal_prices(CUSTOMERS, (0.1, 0.5, 1.0)), strict=True):
        assert bound.at_price(float(price)).spend <= share * unconstrained
        assert bound.at_price(float(price) * 0.99).spend >= 0.9 * share * unconstrained


EQUAL_CUSTOMERS = Customers(np.full(4, 0.01), np.tile([0.0, 0.5, 0.5, 0.5], (4, 1)), np.full(4, 60.0))


class ScriptedNetwork(ActorCritic):
    """Contacts every customer it may, every day, at one level. The value of a state is the contacts so far."""

    def __init__(self, level: int, cap: int) -> None:
        super().__init__()
        self.level, self.cap = level, cap

    def forward(self, observations: torch.Tensor, contact_mask: torch.Tensor) -> Heads:
        never = torch.full((len(observations), 8), -1e9)
        contact, offer, delay = never[:, :2].clone(), never[:, :4].clone(), never.clone()
        contact[torch.arange(len(observations)), contact_mask.long()] = 0
        offer[:, self.level], delay[:, 0] = 0, 0
        return Heads(contact, offer, delay, self.cap * observations[:, 8])


def scripted(level: int, args: PPOArgs, rules: Rules, prices: tuple[float, ...] = (0.0, 0.0)) -> Trainer:
    """Two markets of four customers."""
    args = replace(args, num_envs=8, budgets=(0.5, 1.0))
    trainer = Trainer(args, EQUAL_CUSTOMERS, ScriptedNetwork(level, rules.contact_cap), np.array(prices))
    trainer.env.rules = rules
    return trainer


def first_contact(level: int) -> tuple[float, float]:
    """Incremental value and expected cost of a customer's first contact."""
    value, cost = incremental_value(EQUAL_CUSTOMERS[:1], np.array([level]), 365, 0, 0)
    return float(value[0]), float(cost[0])


def returns_of(trainer: Trainer) -> np.ndarray:
    """[num_steps, num_envs]"""
    args = trainer.args
    returns = Batch.of(trainer.collect_rollout()[0]).returns
    return np.asarray(returns.reshape(args.num_steps, args.num_envs))


def test_a_rollout_by_hand_through_the_end_of_a_campaign() -> None:
    rollout, _ = scripted(level=0, args=PPOArgs(num_steps=5), rules=RULES._replace(campaign_days=4)).collect_rollout()
    batch = Batch.of(rollout)

    survival = exp(-0.01 * 1.05)  # one contact, which nobody accepts, raises the hazard
    value = first_contact(0)[0] / 60
    fourth = survival * 1 - 1  # truncated: bootstrapped with this customer's value, not with the next one's, 0
    third = survival * 1 - 1 + survival * 0.95 * fourth
    second = survival * 1 - 1 + survival * 0.95 * third
    first, first_of_next = value + survival * 1 + survival * 0.95 * second, value + survival * 1
    expected = np.array([first, second, third, fourth, first_of_next])
    assert batch.advantages.reshape(5, 8).numpy() == pytest.approx(np.tile(expected[:, None], 8), rel=1e-4)
    assert rollout.values == pytest.approx(np.tile([[0.0], [1], [1], [1], [0]], 8), abs=1e-6)
    assert (batch.returns - batch.advantages).numpy() == pytest.approx(batch.values.numpy(), abs=1e-6)
    assert rollout.actions[:, 0, 0].tolist() == [1, 0, 0, 0, 1]
    assert rollout.contact_mask[:, 0].tolist() == [True, False, False, False, True]


def test_a_reward_is_the_incremental_value_less_the_price_of_the_spend() -> None:
    value, cost = first_contact(3)
    trainer = scripted(level=3, args=PPOArgs(num_steps=3), rules=RULES._replace(contact_cap=1), prices=(0.0, 2.0))

    assert cost == pytest.approx(0.5 * 60 * 0.15)
    rewards = np.repeat([value, value - 2 * cost], 4) / 60  # at the cap nothing comes after
    assert returns_of(trainer) == pytest.approx(np.tile(rewards, (3, 1)), rel=1e-5)


def test_usage_is_counted_per_campaign_and_moves_the_prices() -> None:
    value, cost = first_contact(3)
    args = PPOArgs(num_steps=3, gradient_ascent=True)
    trainer = scripted(level=3, args=args, rules=RULES._replace(contact_cap=1), prices=(1.0, 1.0))
    _, usage = trainer.collect_rollout()
    utilisation = trainer.update_multipliers(usage)

    full = trainer.budgets[1]
    assert trainer.budgets.tolist() == [0.5 * full, full]
    assert utilisation == pytest.approx([cost / (0.5 * full), cost / full])
    assert usage.incremental_value / usage.campaigns == pytest.approx(np.full(8, value))
    assert trainer.budget_multipliers.price == pytest.approx([1 + 0.05 * (used - 1) for used in utilisation])


def test_budgets_are_shares_of_what_the_optimum_spends_without_one() -> None:
    trainer = Trainer(PPOArgs(num_envs=64, budgets=(0.1, 1.0)), CUSTOMERS)

    assert trainer.budgets * 60 == pytest.approx(np.array([0.1, 1.0]) * LagrangianBound(CUSTOMERS).unconstrained_spend)
    assert np.bincount(trainer.market).tolist() == [32, 32]


def test_forbidden_contacts_are_penalised_and_counted_in_expectation_over_churn() -> None:
    args = PPOArgs(num_steps=4, action_mask=False, gradient_ascent=True, gae_lambda=0)
    free, penalised = (scripted(level=0, args=args, rules=RULES._replace(campaign_days=4)) for _ in range(2))
    penalised.fatigue_multiplier.price = np.array([3.0])
    (free_rollout, usage), (penalised_rollout, _) = free.collect_rollout(), penalised.collect_rollout()
    penalties = Batch.of(free_rollout).returns - Batch.of(penalised_rollout).returns
    free.update_multipliers(usage)
    penalised.update_multipliers(usage)

    assert penalties.reshape(4, 8).numpy() * 60 == pytest.approx(np.tile([[0], [3], [3], [3]], 8), abs=1e-4)
    cumulative_hazard = np.cumsum([0.01 * 1.05, 0.01 * 1.10, 0.01 * 1.15])
    forbidden = np.exp(-cumulative_hazard).sum()  # a customer and campaign
    assert free.fatigue_multiplier.price[0] == pytest.approx(0.05 * (forbidden - 0.02) / 0.02, rel=1e-4)
    assert penalised.fatigue_multiplier.price[0] == pytest.approx(3 + free.fatigue_multiplier.price[0])


def test_training_goes_on_from_the_network_and_the_prices_it_is_given() -> None:
    network, prices = ActorCritic(), np.linspace(0, 7, 8)
    trainer = Trainer(SMALL, CUSTOMERS, network, prices)

    assert trainer.network is network
    assert trainer.budget_multipliers.price.tolist() == prices.tolist()


def samples(trainer: Trainer, advantage: float = 0.0, mean_return: float = 0.0, log_ratio: float = 0.0) -> Batch:
    """512 contacts and as many actions without; `advantage` is that of the contacts.

    `log_ratio` is how far the network has moved in the direction of the advantage since the actions were taken.
    """
    observations, contact_mask = torch.rand(1024, 9), torch.ones(1024, dtype=torch.bool)
    actions = torch.zeros(1024, 3, dtype=torch.int64)
    actions[:512, 0] = 1
    sign = torch.where(actions[:, 0] > 0, 1.0, -1.0)
    with torch.no_grad():
        logprobs = log_probability(trainer.network(observations, contact_mask), actions)
    returns = mean_return + torch.linspace(-1, 1, 1024)
    moved = log_ratio * sign * np.sign(advantage)
    advantages = advantage * (1.0 + sign)
    return Batch(observations, contact_mask, actions, logprobs - moved, torch.zeros(1024), advantages, returns)


UPDATE = PPOArgs(num_envs=8, minibatch_size=256, vf_coef=0.0, ent_coef=0.0)


def evaluated(network: ActorCritic, batch: Batch) -> Heads:
    with torch.no_grad():
        heads: Heads = network(batch.observations, batch.contact_mask)
    return heads


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_actions_with_a_positive_advantage_get_likelier_and_others_less_likely(advantage: float) -> None:
    trainer = Trainer(UPDATE, EQUAL_CUSTOMERS)
    batch = samples(trainer, advantage)
    trainer.update_network(batch)

    assert (advantage * evaluated(trainer.network, batch).contact[:, 1].exp()).mean() > advantage * 0.5 + 0.05


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_actions_beyond_the_clip_are_not_changed(advantage: float) -> None:
    trainer = Trainer(UPDATE, EQUAL_CUSTOMERS)
    batch = samples(trainer, advantage, log_ratio=0.25)
    before = evaluated(trainer.network, batch)
    diagnostics = trainer.update_network(batch)

    assert all(torch.equal(*heads) for heads in zip(before, evaluated(trainer.network, batch), strict=True))
    assert diagnostics.clip_fraction == 1
    assert diagnostics.approx_kl == pytest.approx(
        np.mean([exp(ratio) - 1 - ratio for ratio in (0.25, -0.25)]), rel=1e-4
    )


def test_the_unit_of_the_advantages_does_not_matter() -> None:
    biases = []
    for unit in (1.0, 1e4):
        trainer = Trainer(UPDATE, EQUAL_CUSTOMERS)
        trainer.update_network(samples(trainer, unit))
        biases.append(trainer.network.heads.bias.detach())

    assert torch.allclose(*biases, atol=1e-5)


def test_the_entropy_bonus_raises_the_entropy() -> None:
    rises = {}
    for ent_coef in (0.0, 0.1):
        trainer = Trainer(replace(UPDATE, ent_coef=ent_coef), EQUAL_CUSTOMERS)
        trainer.network.heads.bias.data[0] = 3.0
        batch = samples(trainer)
        before = entropy(evaluated(trainer.network, batch)).mean()
        diagnostics = trainer.update_network(batch)
        after = entropy(evaluated(trainer.network, batch)).mean()
        rises[ent_coef] = float(after - before)
        assert before.item() - 1e-4 <= diagnostics.entropy <= after.item() + 1e-4

    assert rises[0.0] == 0
    assert rises[0.1] > 0.01


def test_the_value_learns_its_returns_in_units_of_their_variance() -> None:
    trainer = Trainer(replace(UPDATE, vf_coef=1e-4, update_epochs=1, minibatch_size=1024), EQUAL_CUSTOMERS)
    trainer.optimizer = torch.optim.SGD(trainer.network.parameters(), lr=1.0)
    batch = samples(trainer, mean_return=2.0)
    value, before = evaluated(trainer.network, batch).value.mean().item(), trainer.network.heads.bias[-1].item()
    trainer.update_network(batch)

    step = trainer.network.heads.bias[-1].item() - before
    assert step == pytest.approx(1e-4 * 2 * (2 - value) / batch.returns.var().item(), rel=1e-2)


def test_gradients_are_clipped_to_the_maximum_norm() -> None:
    trainer = Trainer(
        replace(UPDATE, vf_coef=100.0, ent_coef=0.01, update_epochs=1, minibatch_size=1024), EQUAL_CUSTOMERS
    )
    trainer.optimizer = torch.optim.SGD(trainer.network.parameters(), lr=1.0)
    before = torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach().clone()
    trainer.update_network(samples(trainer, mean_return=100.0))

    after = torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach()
    assert (after - before).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_every_sample_is_used_once_an_epoch_and_the_learning_rate_falls_linearly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = Trainer(
        PPOArgs(num_envs=8, minibatch_size=256, num_updates=4, num_steps=4, update_epochs=3), EQUAL_CUSTOMERS
    )
    rates: list[float] = []
    samples_used: list[int] = []
    forward, update_network = trainer.network.forward, trainer.update_network

    def record_rate(batch: Batch) -> ppo.Diagnostics:
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        return update_network(batch)

    def record_samples(observations: torch.Tensor, contact_mask: torch.Tensor) -> Any:
        samples_used.append(len(observations) * torch.is_grad_enabled())
        return forward(observations, contact_mask)

    monkeypatch.setattr(trainer, "update_network", record_rate)
    monkeypatch.setattr(trainer.network, "forward", record_samples)
    history = trainer.train().history

    assert rates == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])
    assert sum(samples_used) == 4 * 3 * 8 * 4
    assert [update.steps for update in history] == [32, 64, 96, 128]


def test_the_diagnostics_of_a_run_are_plausible() -> None:
    history = Trainer(PPOArgs(num_updates=10, num_envs=128, minibatch_size=512), CUSTOMERS).train().history

    for update in history:
        assert 0 <= update.diagnostics.approx_kl < 0.5
        assert 0 <= update.diagnostics.clip_fraction < 0.5
        assert 0 < update.diagnostics.entropy < log(2) + log(4) + log(8)
    assert history[-1].diagnostics.explained_variance > history[0].diagnostics.explained_variance


@pytest.fixture
def population(monkeypatch: pytest.MonkeyPatch) -> None:
    population = Population(CUSTOMERS, CUSTOMERS, pd.DataFrame())
    monkeypatch.setattr(customers, "load_population", lambda mirror, data, artifacts: population)


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["ppo", "--num-updates", "1", "--num-envs", "16", *arguments])
    ppo.main()


@pytest.mark.usefixtures("population")
def test_the_script_trains_from_the_pretrained_network_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrained, out = ActorCritic(), tmp_path / "made" / "ppo.npz"
    save_network(pretrained, tmp_path / "pretrained.npz")
    run_script(monkeypatch, "--pretrained", str(tmp_path / "pretrained.npz"), "--out", str(out), "--budgets", "0.5")

    difference = load_network(out).first.weight - pretrained.first.weight
    assert 0 < difference.abs().max() < 1e-3
    assert f"service --network {out}" in capsys.readouterr().out


@pytest.mark.usefixtures("population")
def test_the_script_says_what_makes_a_missing_pretrained_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"no network .*missing\.npz.*python -m training\.policy\.behaviour_cloning"):
        run_script(monkeypatch, "--pretrained", str(tmp_path / "missing.npz"))


def test_ppo_does_not_need_what_the_benchmarks_environment_lacks() -> None:
    """It has torch, NumPy, SciPy, Gymnasium and pydantic: no scorer, and nothing that prepares data."""
    code = "import sys, training.policy.ppo; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert {"torch", "gymnasium"} < set(modules)
    assert not {"pandas", "xgboost", "sklearn", "httpx", "pyarrow"} & set(modules)
