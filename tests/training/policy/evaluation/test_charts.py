import pytest
from matplotlib.figure import Figure

from services.policy.budget.pacing import planned_share
from training.policy.evaluation import charts
from training.policy.simulation.service import ServiceRun


def test_spend_is_drawn_beside_the_calendar_that_the_service_keeps_to(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(charts, "svg", lambda figure, said: drawn.append(figure) or said)
    charts.pace_chart(ServiceRun(0, 10.0, 9.5, 10.0, {}, (), 0.0, (6.0, 8.0, 9.5), (1.0,) * 3, 0.0), "")

    calendar, spent = drawn[0].axes[0].lines
    assert calendar.get_ydata() == pytest.approx([planned_share(1 / 3), planned_share(2 / 3), 1])
    assert spent.get_ydata() == pytest.approx([0.6, 0.8, 0.95])
