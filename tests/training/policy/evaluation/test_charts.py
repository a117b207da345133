from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from services.policy.budget.pacing import planned_share
from training.policy.evaluation import charts
from training.policy.evaluation.sections import diagnostics
from training.policy.simulation.service import ServiceRun

POINTS: list[Any] = [
    {"steps": 100, "approx_kl": 0.01, "clip_fraction": 0.1, "explained_variance": 0.2, "entropy": 3.0},
    {"steps": 300, "approx_kl": 0.03, "clip_fraction": 0.2, "explained_variance": 0.7, "entropy": 2.0},
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
        peak_committed=10.0,
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


def test_ppo_diagnostics_are_drawn_by_update(figures: list[Figure]) -> None:
    section = diagnostics({"points": POINTS})

    assert [axes.get_title(loc="left") for axes in figures[0].axes] == [*charts.DIAGNOSTICS.values()]
    for axes, key in zip(figures[0].axes, charts.DIAGNOSTICS, strict=True):
        [line] = axes.lines
        assert np.asarray(line.get_xdata()).tolist() == [1, 3], "300 steps are three updates of 100"
        assert np.asarray(line.get_ydata()).tolist() == [point[key] for point in POINTS]
    assert "approximate KL 0.03, clip fraction 0.2, explained variance 0.7, entropy 2" in section


@pytest.mark.parametrize("points", [[[0.5, 100, 1.0, 0.0, [1.0], [1.0]]], [POINTS[0], {"steps": 200}]])
def test_a_run_without_ppo_diagnostics_says_that_it_did_not_record_them(
    points: list[Any], figures: list[Figure]
) -> None:
    section = diagnostics({"points": points})

    assert "This run did not record PPO&#x27;s diagnostics (approximate KL, clip fraction" in section
    assert not figures


def test_a_history_is_read_from_points_with_names_and_from_points_by_position() -> None:
    named, by_position = {"points": POINTS}, {"points": [[0.5, 100, 1.5, 0.0, [1.0], [1.0]]]}

    assert charts.history(named, "steps").tolist() == [100, 300]
    assert charts.history(by_position, "gain").tolist() == [1.5]
    with pytest.raises(KeyError, match="entropy"):
        charts.history(by_position, "entropy")
