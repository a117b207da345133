from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from services.policy.budget.pacing import planned_share
from training.policy.evaluation import charts
from training.policy.evaluation.sections import diagnostics
from training.policy.ppo import Diagnostics
from training.policy.simulation.service import ServiceRun

pytestmark = pytest.mark.torch

POINTS = [[0.5, 100, 1.0, 0.0, [1.0], [1.0]], [1.5, 300, 2.0, 0.0, [1.0], [1.0]]]
DIAGNOSTICS = [
    {"approx_kl": 0.01, "clip_fraction": 0.1, "explained_variance": 0.2, "entropy": 3.0},
    {"approx_kl": 0.03, "clip_fraction": 0.2, "explained_variance": 0.7, "entropy": 2.0},
]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    drawn: list[Figure] = []

    def svg(figure: Figure, label: str) -> str:
        drawn.append(figure)
        return label

    monkeypatch.setattr(charts, "svg", svg)
    return drawn


def test_spend_is_drawn_beside_the_pacing_plan_of_the_service(figures: list[Figure]) -> None:
    run = ServiceRun(
        decisions=0,
        budget=10.0,
        spend=9.5,
        peak_used=10.0,
        violations={},
        contacts=(),
        incremental_value=0.0,
        spend_by_day=(6.0, 8.0, 9.5),
        prices=(1.0,) * 3,
        seconds=0.0,
    )

    charts.pacing_chart(run, "")

    plan, spent = figures[0].axes[0].lines
    assert np.asarray(plan.get_ydata()) == pytest.approx([planned_share(1 / 3), planned_share(2 / 3), 1])
    assert np.asarray(spent.get_ydata()) == pytest.approx([0.6, 0.8, 0.95])


def test_every_diagnostic_of_ppo_has_a_panel() -> None:
    assert tuple(charts.DIAGNOSTICS) == Diagnostics._fields


def test_ppo_diagnostics_are_drawn_by_update(figures: list[Figure]) -> None:
    section = diagnostics({"points": POINTS, "diagnostics": DIAGNOSTICS})

    assert [axes.get_title(loc="left") for axes in figures[0].axes] == [*charts.DIAGNOSTICS.values()]
    for axes, key in zip(figures[0].axes, charts.DIAGNOSTICS, strict=True):
        [line] = axes.lines
        assert np.asarray(line.get_xdata()).tolist() == [1, 3], "300 steps are three updates of 100"
        assert np.asarray(line.get_ydata()).tolist() == [update[key] for update in DIAGNOSTICS]
    assert "approximate KL 0.03, clip fraction 0.2, explained variance 0.7, entropy 2" in section


@pytest.mark.parametrize("recorded", [{}, {"diagnostics": [{"approx_kl": 0.01}]}])
def test_a_run_without_ppo_diagnostics_says_that_it_did_not_record_them(
    recorded: dict[str, Any], figures: list[Figure]
) -> None:
    section = diagnostics({"points": POINTS, **recorded})

    assert "This run did not record PPO&#x27;s diagnostics (approximate KL, clip fraction" in section
    assert not figures
