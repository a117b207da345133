import numpy as np
import pytest

from training.policy.ope.bandit_log import BanditLog, TableError
from training.policy.ope.estimators import doubly_robust, effective_sample_size, importance_weights, ips, snips

LOG = BanditLog(
    contexts=np.zeros((4, 1)),
    actions=np.array([0, 1, 0, 1]),
    propensities=np.array([0.5, 0.5, 0.8, 0.2]),
    rewards=np.array([1.0, 4.0, 0.0, 2.0]),
)
TARGET = np.array([[0.5, 0.5], [0.0, 1.0], [0.6, 0.4], [0.8, 0.2]])
"""Weights 1, 2, 3/4, 1."""


def test_the_terms_of_each_estimator_equal_those_worked_out_by_hand() -> None:
    weights = importance_weights(LOG, TARGET)
    assert weights == pytest.approx([1, 2, 0.75, 1])
    assert ips(LOG, weights) == pytest.approx([1, 8, 0, 2])
    value = 11 / 4.75
    snips_terms = snips(LOG, weights)
    assert snips_terms.mean() == pytest.approx(value)
    assert snips_terms[1] == pytest.approx(value + 2 * (4 - value) / 1.1875)
    dr = doubly_robust(LOG, TARGET, weights, expected_rewards=np.tile([1.0, 3.0], (4, 1)))
    assert dr == pytest.approx([2 + 0, 3 + 2 * 1, 1.8 - 0.75, 1.4 - 1])
    assert dr - LOG.rewards == pytest.approx([1, 1, 1.05, -1.6])
    assert effective_sample_size(weights) == pytest.approx(4.75**2 / 6.5625)


def test_a_target_that_is_no_distribution_over_the_actions_is_refused() -> None:
    with pytest.raises(TableError, match=r"row 3 has \[0.8 0.3\]"):
        importance_weights(LOG, TARGET + 0.1 * np.outer([0, 0, 0, 1], [0, 1]))
    with pytest.raises(TableError, match=r"\[4, 2 or more\].* \(4, 1\)"):
        importance_weights(LOG, TARGET[:, :1])
