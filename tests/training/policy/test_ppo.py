from math import exp, log

import numpy as np
import pytest
import torch

from services.policy.response.dynamic_program import RULES, Rules
from services.policy.response.model import Customers, incremental_value
from training.policy.evaluation.bound import LagrangianBound
from training.policy.ppo import (
    Args,
    Batch,
    Heads,
    Network,
    Trainer,
    advantages,
    entropy,
    log_probability,
    policy_loss,
    sample,
    value_loss,
)

DRAWN = np.random.default_rng(5)
CUSTOMERS = Customers(
    DRAWN.uniform(0.001, 0.01, 60), np.sort(DRAWN.uniform(0.02, 0.4, (60, 4)), axis=1), DRAWN.uniform(20, 110, 60)
)
SMALL = Args(updates=3, customers=64, steps=4, batch=128)


def column(*values: float) -> np.ndarray:
    """Steps of one customer."""
    return np.array(values, dtype=float)[:, None]


def heads(contact: float = 0.5, offers: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4), n: int = 1) -> Heads:
    """Of these probabilities, and all delays alike."""
    each = [1 - contact, contact], offers, [1 / 8] * 8
    return Heads(*(torch.tensor([probs] * n).log() for probs in each), torch.zeros(n))


def test_advantages_by_hand() -> None:
    # λ·days is worked into `carried`: 0.9 · survival. The last step bootstraps with what comes after the batch.
    found = advantages(
        rewards=column(1.0, 0.0, 2.0),
        values=column(0.5, 1.0, 1.5),
        after=column(1.0, 1.5, 3.0),
        kept=column(0.8, 1.0, 0.5),
        carried=column(0.72, 0.9, 0.45),
    )

    last = 2.0 + 0.5 * 3.0 - 1.5  # 2.0
    middle = 0.0 + 1.0 * 1.5 - 1.0 + 0.9 * last  # 2.3
    first = 1.0 + 0.8 * 1.0 - 0.5 + 0.72 * middle  # 2.956
    assert found[:, 0] == pytest.approx([first, middle, last])
    assert first == pytest.approx(2.956)


def test_with_lambda_0_an_advantage_is_the_error_of_one_step() -> None:
    values, after = column(0.5, 1.0), column(1.0, 3.0)
    found = advantages(column(1.0, 2.0), values, after, kept=column(0.8, 0.5), carried=column(0, 0))

    assert found[:, 0] == pytest.approx([1 + 0.8 * 1 - 0.5, 2 + 0.5 * 3 - 1])


def test_where_the_clock_cuts_the_value_counts_and_the_next_customer_does_not() -> None:
    found = advantages(column(1, 5), column(0, 0), after=column(4, 0), kept=column(1, 1), carried=column(0, 0))

    assert found[0, 0] == 1 + 4, "bootstrapped, and nothing of the 5"


def test_without_values_and_with_all_carried_an_advantage_is_the_sum_of_what_comes() -> None:
    ones, nothing = column(1, 1, 1), column(0, 0, 0)

    assert advantages(column(1, 2, 4), nothing, nothing, ones, ones)[:, 0] == pytest.approx([7, 6, 4])


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.1, 2.0, -2.2, True),  # inside: r·A
        (1.5, 2.0, -2.4, False),  # better already by more than the clip: no further
        (0.5, 2.0, -1.0, True),  # worse: the clip does not hold it back
        (0.5, -2.0, 1.6, False),
        (1.5, -2.0, 3.0, True),
    ],
)
def test_the_clipped_surrogate_by_hand(ratio: float, advantage: float, loss: float, slope: bool) -> None:
    log_ratio = torch.tensor([log(ratio)], requires_grad=True)
    found = policy_loss(log_ratio, torch.tensor([advantage]), clip=0.2)
    found.backward()

    assert found.item() == pytest.approx(loss, rel=1e-5)
    assert bool(log_ratio.grad.abs().item() > 1e-6) is slope


def test_the_loss_of_the_value_is_the_mean_square() -> None:
    assert value_loss(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])).item() == 5.0


def test_entropy_is_that_of_the_whole_action() -> None:
    assert entropy(heads(0.5, (0.25,) * 4)).item() == pytest.approx(log(2) + 0.5 * log(4) + log(8))
    assert entropy(heads(0.25, (0.25,) * 4)).item() == pytest.approx(
        -0.25 * log(0.25) - 0.75 * log(0.75) + 0.25 * log(4) + log(8)
    )


def test_the_offer_is_no_part_of_an_action_without_contact() -> None:
    likely = log_probability(heads(0.3, n=3), torch.tensor([[0, 1, 5], [0, 3, 5], [1, 3, 5]])).exp()

    assert likely.tolist() == pytest.approx([0.7 / 8, 0.7 / 8, 0.3 * 0.4 / 8])


def test_who_may_not_be_contacted_is_not() -> None:
    said = Network()(torch.rand(50, 9), torch.tensor([True, False] * 25))

    assert (said.contact[1::2, 1].exp() == 0).all()
    assert (said.contact[::2, 1].exp() > 0).all()


def test_what_is_masked_teaches_nothing() -> None:
    network, masked = Network(), torch.zeros(20, dtype=torch.bool)
    said = network(torch.rand(20, 9), masked)
    log_probability(said, torch.tensor([[0, 2, 0]] * 20)).sum().backward()

    assert not network.heads.weight.grad[:6].any(), "neither contact nor offer"
    assert network.heads.weight.grad[6:14].any(), "the delay does"


def test_actions_are_drawn_as_often_as_they_are_likely() -> None:
    drawn = sample(heads(0.3, n=20_000), np.random.default_rng(1))

    assert drawn[:, 0].mean() == pytest.approx(0.3, abs=0.015)
    assert np.bincount(drawn[:, 1]) / 20_000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)
    assert np.bincount(drawn[:, 2]) / 20_000 == pytest.approx([1 / 8] * 8, abs=0.015)


def test_the_same_seed_trains_the_same_network() -> None:
    one, other = (Trainer(SMALL, CUSTOMERS).run().network.state_dict() for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_gains() -> None:
    args = Args(updates=60, customers=256, steps=8, batch=512, budgets=(1.0,), seed=1)
    points = Trainer(args, CUSTOMERS).run().points

    assert np.mean([p.gain for p in points[-10:]]) > np.mean([p.gain for p in points[:5]]) + 1


def test_training_ends_when_its_time_is_up() -> None:
    assert len(Trainer(Args(seconds=0.5, customers=64, steps=4), CUSTOMERS).run().points) < 400


def test_the_price_of_fatigue_rises_where_nothing_is_masked_and_stays_where_it_is() -> None:
    masked, bare = (Trainer(Args(updates=5, customers=64, masked=m), CUSTOMERS).run().points for m in (True, False))

    assert masked[-1].fatigue_price == 0
    assert bare[-1].fatigue_price > 0


def test_a_market_short_of_money_pays_more_for_it() -> None:
    points = Trainer(Args(updates=12, customers=256, budgets=(0.05, 5.0)), CUSTOMERS).run().points

    assert points[-1].prices[0] > 1 > points[-1].prices[1]


ALIKE = Customers(np.full(4, 0.01), np.tile([0.0, 0.5, 0.5, 0.5], (4, 1)), np.full(4, 60.0))


class Scripted(torch.nn.Module):
    """Contacts whoever it may, every day, at one level. A customer is worth the contacts of the quarter so far."""

    def __init__(self, level: int, cap: int) -> None:
        super().__init__()
        self.level, self.cap, self.unused = level, cap, torch.nn.Parameter(torch.zeros(1))

    def forward(self, seen: torch.Tensor, may: torch.Tensor) -> Heads:
        never = torch.full((len(seen), 8), -1e9)
        contact, offer, delay = never[:, :2].clone(), never[:, :4].clone(), never.clone()
        contact[torch.arange(len(seen)), may.long()] = 0
        offer[:, self.level], delay[:, 0] = 0, 0
        return Heads(contact, offer, delay, self.cap * seen[:, 8])


def scripted(rules: Rules, level: int, prices: tuple[float, ...] = (0.0, 0.0), **args: object) -> Trainer:
    """Two markets of four customers."""
    args = Args(customers=8, budgets=(0.5, 1.0), **args)
    trainer = Trainer(args, ALIKE, Scripted(level, rules.cap), np.array(prices))
    trainer.many.rules = rules
    return trainer


def gained(level: int) -> tuple[float, float]:
    """Money that the first contact gains, and costs."""
    found = incremental_value(ALIKE[:1], np.array([level]), 365, 0, 0)
    return float(found[0][0]), float(found[1][0])


def test_a_batch_by_hand_through_the_end_of_a_quarter() -> None:
    batch = scripted(RULES._replace(quarter=4), level=0, steps=5).collect()

    stays, first = exp(-0.01 * 1.05), gained(0)[0] / 60  # annoyed by one contact, which nobody accepts
    last = stays * 1 - 1  # the clock cuts: bootstrapped with this customer's value, not with the next one's, 0
    third = stays * 1 - 1 + stays * 0.95 * last
    second = stays * 1 - 1 + stays * 0.95 * third
    begin, begin_again = first + stays * 1 + stays * 0.95 * second, first + stays * 1
    assert batch.advantages == pytest.approx(
        np.tile(np.array([begin, second, third, last, begin_again])[:, None], 8), rel=1e-4
    )
    assert batch.targets - batch.advantages == pytest.approx(np.tile([[0.0], [1], [1], [1], [0]], 8), abs=1e-6)
    assert batch.actions[:, 0, 0].tolist() == [1, 0, 0, 0, 1]
    assert batch.may[:, 0].tolist() == [True, False, False, False, True]


def test_a_reward_is_what_is_gained_less_the_price_of_what_is_spent() -> None:
    money, cost = gained(3)
    trainer = scripted(RULES._replace(cap=1), level=3, prices=(0.0, 2.0), steps=3)
    batch = trainer.collect()

    assert cost == pytest.approx(0.5 * 60 * 0.15)
    rewards = np.repeat([money, money - 2 * cost], 4) / 60  # at the cap nothing comes after
    assert batch.targets == pytest.approx(np.tile(rewards, (3, 1)), rel=1e-5)


def test_what_is_used_and_gained_is_counted_by_the_quarter_and_moves_the_prices() -> None:
    money, cost = gained(3)
    trainer = scripted(RULES._replace(cap=1), level=3, prices=(1.0, 1.0), steps=3, ascent=True)
    trainer.collect()

    free = trainer.limits[1]
    assert trainer.limits.tolist() == [0.5 * free, free]
    assert trainer.used == pytest.approx([cost, cost])
    assert trainer.gain == pytest.approx(money)
    assert trainer.budget.price == pytest.approx([1 + 0.05 * (cost / (0.5 * free) - 1), 1 + 0.05 * (cost / free - 1)])


def test_the_budgets_are_shares_of_what_the_optimum_spends_where_money_is_free() -> None:
    trainer = Trainer(Args(customers=64, budgets=(0.1, 1.0)), CUSTOMERS)

    assert trainer.limits * 60 == pytest.approx(np.array([0.1, 1.0]) * LagrangianBound(CUSTOMERS).unconstrained_spend)
    assert np.bincount(trainer.market).tolist() == [32, 32]


def test_contacts_that_the_gate_forbids_are_fined_and_counted_by_who_is_still_there() -> None:
    free, fined = (scripted(RULES._replace(quarter=4), 0, steps=4, masked=False, ascent=True, trace=0) for _ in "ab")
    fined.fatigue.price = np.array([3.0])
    fines = free.collect().targets - fined.collect().targets

    assert fines * 60 == pytest.approx(np.tile([[0], [3], [3], [3]], 8), abs=1e-4)
    cumulative_hazard = np.cumsum([0.01 * 1.05, 0.01 * 1.10, 0.01 * 1.15])
    forbidden = np.exp(-cumulative_hazard).sum()  # a customer's quarter
    assert free.fatigue.price[0] == pytest.approx(0.05 * (forbidden - 0.02) / 0.02, rel=1e-4)
    assert fined.fatigue.price[0] == pytest.approx(3 + free.fatigue.price[0])


def test_training_goes_on_from_the_network_and_the_prices_it_is_given() -> None:
    network, prices = Network(), np.linspace(0, 7, 8)
    trainer = Trainer(SMALL, CUSTOMERS, network, prices)

    assert trainer.network is network
    assert trainer.budget.price.tolist() == prices.tolist()


def lesson(trainer: Trainer, advantage: float = 0.0, target: float = 0.0, ahead: float = 0.0) -> Batch:
    """512 contacts and as many days without; `advantage` is of the contacts.

    `ahead` is by how much the network, since then, has gone after its advantage: in log-probability.
    """
    seen, may = torch.rand(1, 1024, 9), torch.ones(1, 1024, dtype=torch.bool)
    actions = np.zeros((1, 1024, 3), int)
    actions[:, :512, 0] = 1
    sign = np.where(actions[..., 0], 1, -1)
    with torch.no_grad():
        likely = log_probability(trainer.network(seen[0], may[0]), torch.from_numpy(actions[0])).numpy()[None]
    targets = target + np.linspace(-1, 1, 1024)[None]
    likely = (likely - ahead * sign * np.sign(advantage)).astype(np.float32)
    return Batch(seen.numpy(), may.numpy(), actions, likely, advantage * (1.0 + sign), targets)


def student(batch: int = 256, **args: object) -> Trainer:
    return Trainer(Args(customers=8, batch=batch, **args), ALIKE)


def state(network: Network, observations: Batch) -> Heads:
    with torch.no_grad():
        seen = torch.from_numpy(observations.observations[0])
        return network(seen, torch.ones(len(seen), dtype=torch.bool))


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_what_paid_is_done_more_often_and_what_did_not_less(advantage: float) -> None:
    trainer = student(value=0.0, entropy=0.0)
    batch = lesson(trainer, advantage)
    trainer.update(batch)

    assert (advantage * state(trainer.network, batch).contact[:, 1].exp()).mean() > advantage * 0.5 + 0.05


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_what_has_gone_far_enough_is_let_be(advantage: float) -> None:
    trainer = student(value=0.0, entropy=0.0)
    batch = lesson(trainer, advantage, ahead=0.25)
    before = state(trainer.network, batch)
    trainer.update(batch)

    assert all(torch.equal(*heads) for heads in zip(before, state(trainer.network, batch), strict=True))


def test_the_unit_of_an_advantage_does_not_matter() -> None:
    found = []
    for unit in (1.0, 1e4):
        trainer = student(value=0.0, entropy=0.0)
        trainer.update(lesson(trainer, unit))
        found.append(trainer.network.heads.bias.detach())

    assert torch.allclose(*found, atol=1e-5)


def test_entropy_is_sought_as_far_as_it_is_asked_for() -> None:
    found = {}
    for weight in (0.0, 0.1):
        trainer = student(value=0.0, entropy=weight)
        trainer.network.heads.bias.data[0] = 3.0
        batch = lesson(trainer)
        before = entropy(state(trainer.network, batch)).mean()
        trainer.update(batch)
        found[weight] = float(entropy(state(trainer.network, batch)).mean() - before)

    assert found[0.0] == 0
    assert found[0.1] > 0.01


def test_the_value_learns_its_target_in_units_of_its_spread() -> None:
    trainer = student(value=1e-4, entropy=0.0, epochs=1, batch=1024)
    trainer.optimizer = torch.optim.SGD(trainer.network.parameters(), lr=1.0)
    batch = lesson(trainer, target=2.0)
    value, before = state(trainer.network, batch).value.mean().item(), trainer.network.heads.bias[-1].item()
    trainer.update(batch)

    spread = batch.targets.var(ddof=1)
    moved = trainer.network.heads.bias[-1].item() - before
    assert moved == pytest.approx(1e-4 * 2 * (2 - value) / spread, rel=1e-2)


def test_no_step_is_longer_than_allowed() -> None:
    trainer = student(value=100.0, epochs=1, batch=1024)
    trainer.optimizer = torch.optim.SGD(trainer.network.parameters(), lr=1.0)
    before = torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach().clone()
    trainer.update(lesson(trainer, target=100.0))

    after = torch.nn.utils.parameters_to_vector(trainer.network.parameters()).detach()
    assert (after - before).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_every_decision_is_learnt_from_as_often_as_there_are_epochs_and_ever_more_slowly() -> None:
    trainer, rates = student(updates=4, steps=4, epochs=3), []
    learnt = []
    forward, update = trainer.network.forward, trainer.update
    trainer.update = lambda batch: (rates.append(trainer.optimizer.param_groups[0]["lr"]), update(batch))
    trainer.network.forward = lambda seen, may: (
        learnt.append(len(seen) * torch.is_grad_enabled()),
        forward(seen, may),
    )[1]
    points = trainer.run().points

    assert rates == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])
    assert sum(learnt) == 4 * 3 * 8 * 4
    assert [point.steps for point in points] == [32, 64, 96, 128]
