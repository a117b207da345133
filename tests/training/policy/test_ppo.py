from math import log

import numpy as np
import pytest
import torch

from services.policy.world import Customers
from training.policy.artifact import packed, served
from training.policy.ppo import (
    Args,
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


def test_actions_are_drawn_as_often_as_they_are_likely() -> None:
    drawn = sample(heads(0.3, n=20_000), np.random.default_rng(1))

    assert drawn[:, 0].mean() == pytest.approx(0.3, abs=0.015)
    assert np.bincount(drawn[:, 1]) / 20_000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)
    assert np.bincount(drawn[:, 2]) / 20_000 == pytest.approx([1 / 8] * 8, abs=0.015)


def test_the_service_runs_it_as_torch_does() -> None:
    torch.manual_seed(3)
    network, seen = Network(), torch.rand(10_000, 9)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    with torch.no_grad():
        said = network(seen, torch.ones(10_000, dtype=torch.bool))
    found = served(network)(seen.numpy())

    for head, mine in zip(said[:3], np.split(found, [2, 6, 14], axis=1), strict=False):
        assert np.abs(torch.log_softmax(torch.from_numpy(mine), 1).numpy() - head.numpy()).max() < 1e-5
    assert np.abs(found[:, -1] - said.value.numpy()).max() < 1e-5
    assert packed(network)[:2] == b"PK"


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
