import json

import numpy as np
import pytest

from services.scorer.calibration import Calibrator, IsotonicCurve, completeness, fact_columns
from services.scorer.features import Float32Array

COMPLETE = IsotonicCurve(np.array([0.0, 1.0]), np.array([0.0, 0.8]))
PARTIAL = IsotonicCurve(np.array([0.2, 0.6]), np.array([0.3, 0.5]))


def row_missing(missing: int) -> Float32Array:
    """One row of ten facts, `missing` of them missing. The first fact has a second feature, the last."""
    row = np.ones((1, 11), np.float32)
    row[0, 1 : 1 + missing] = np.nan
    return row


def test_a_curve_is_linear_between_its_knots_and_constant_beyond_them() -> None:
    assert PARTIAL(np.array([0.0, 0.2, 0.4, 0.6, 1.0])) == pytest.approx([0.3, 0.3, 0.4, 0.5, 0.5])


@pytest.mark.parametrize(("missing", "weight"), [(0, 1), (1, 2 / 3), (2, 1 / 3), (3, 0), (10, 0)])
def test_the_complete_curves_weight_falls_linearly_to_0_where_three_of_ten_facts_are_missing(
    missing: int, weight: float
) -> None:
    row = row_missing(missing)
    columns = fact_columns(["k=x", *"bcdefghij", "k=y"], [True] * 11)
    calibrate = Calibrator(columns, COMPLETE, PARTIAL)
    assert columns == [*range(10)]
    assert completeness(row, columns)[0] == pytest.approx(weight)
    assert calibrate(row, np.array([0.5]))[0] == pytest.approx(weight * 0.4 + (1 - weight) * 0.45)


def test_facts_that_training_never_knew_do_not_count_towards_completeness() -> None:
    features = ["age", "job=a", "job=b", "tenure", "offer_level"]
    assert fact_columns(features, [True, True, True, False, True]) == [0, 1]
    assert completeness(np.full((2, 3), np.nan, np.float32), []).tolist() == [1, 1]


def test_a_calibrator_survives_json() -> None:
    document = json.loads(json.dumps(Calibrator([0, 3], COMPLETE, PARTIAL).dump()))

    assert Calibrator.load(document).dump() == document
    assert document == {
        "columns": [0, 3],
        "whole": {"x": [0.0, 1.0], "y": [0.0, 0.8]},
        "part": {"x": [0.2, 0.6], "y": [0.3, 0.5]},
    }
