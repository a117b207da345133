"""Speed of the scorer, beside XGBoost's bare predict calls and beside the usual pipeline on scikit-learn."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tqdm import tqdm

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding
from services.scorer.model import INPUTS, ScorerModel
from shared.artifacts import ARTIFACTS
from shared.messages import OFFERS, CustomerEvent, CustomerFacts
from shared.settings import Settings
from tests.load.measuring import Figures, seconds, seconds_in_turn
from training.data.pipeline import load, prepare

NUM_EVENTS = 2000
SKLEARN_INTERVAL = 10
"""The usual pipeline, which is slow, scores one event in so many."""
BATCH_SIZE = 10_000
ROUNDS = 9


def scoring_times(customers: Sequence[CustomerEvent]) -> Figures:
    """Microseconds to score one event (features, calibration and reasons included), beside the bare predict calls.

    One of these is XGBoost's own contributions, which the scorer works out without it (services/scorer/shap.py).
    """
    model, predict, pipeline = (
        ScorerModel.load(ARTIFACTS / "scorer"),
        BarePredict(threads=1),
        SklearnScorer(Settings().data),
    )
    bare, ours, usual = [], [], []
    for n, customer in enumerate(tqdm(customers[:NUM_EVENTS], unit=" events", leave=False)):
        rows = model.encode([customer])
        bare.append(seconds(partial(predict, *rows)))
        ours.append(seconds(partial(model.score, [customer])))
        if n % SKLEARN_INTERVAL == 0:
            usual.append(seconds(partial(pipeline, customer)))
    return {
        "score_one_p50_us": 1e6 * median(ours),
        "bare_predict_one_p50_us": 1e6 * median(bare),
        "score_one_over_bare": median(ours) / median(bare),
        "sklearn_one_p50_us": 1e6 * median(usual),
        "sklearn_over_ours": median(usual) / median(ours),
    }


def batch_scoring_rates(customers: Sequence[CustomerEvent]) -> Figures:
    """Customers a second in batches of 10,000, beside the bare predict calls on all cores, in turn."""
    batch = list(islice(cycle(customers), BATCH_SIZE))
    model, predict = ScorerModel.load(ARTIFACTS / "scorer"), BarePredict(threads=0)
    rows = model.encode(batch)
    times = seconds_in_turn({"score": lambda: model.score(batch), "bare_predict": lambda: predict(*rows)}, ROUNDS)
    return {f"{name}_many_per_second": BATCH_SIZE / median(values) for name, values in times.items()} | {
        "score_many_over_bare": median(times["bare_predict"]) / median(times["score"])
    }


class BarePredict:
    """Risk, its contributions and acceptance by XGBoost itself, of encoded rows. 0 threads are all cores."""

    def __init__(self, threads: int) -> None:
        self._risk, self._accept = (
            xgboost.Booster({"nthread": threads}, model_file=ARTIFACTS / "scorer" / f"{name}.ubj") for name in INPUTS
        )
        self._threads = threads

    def __call__(self, risk_rows: np.ndarray, accept_rows: np.ndarray) -> None:
        self._risk.inplace_predict(risk_rows, validate_features=False)
        matrix = xgboost.DMatrix(risk_rows, nthread=self._threads)
        self._risk.predict(matrix, pred_contribs=True, validate_features=False)
        self._accept.inplace_predict(accept_rows, validate_features=False)


class SklearnScorer:
    """Calibrated XGBoost on data frames, by scikit-learn, trained on the data sets of `mirror`. It gives no reasons."""

    def __init__(self, mirror: Path) -> None:
        with TemporaryDirectory() as folder:
            for name in ("telco", "bank"):
                prepare(name, mirror, Path(folder))
            customers, calls = load("telco", Path(folder), "train"), load("bank", Path(folder), "train")
        self._risk, self._risk_types = fitted_pipeline(RISK_FACTS, customers, customers["churned"])
        accept_facts: dict[str, Encoding] = ACCEPT_FACTS | {"offer_level": None}
        self._accept, self._accept_types = fitted_pipeline(accept_facts, calls, calls["accepted"])

    def __call__(self, customer: CustomerFacts) -> tuple[float, list[float]]:
        """The risk, and the acceptance probability at each level."""
        facts = vars(customer)
        row = pd.DataFrame([facts])[list(self._risk_types)].astype(self._risk_types)
        levels = pd.DataFrame([facts | {"offer_level": level} for level in range(len(OFFERS))])
        levels = levels[list(self._accept_types)].astype(self._accept_types)
        return float(self._risk.predict_proba(row)[0, 1]), self._accept.predict_proba(levels)[:, 1].tolist()


def fitted_pipeline(
    facts: Mapping[str, Encoding], table: pd.DataFrame, labels: pd.Series
) -> tuple[Pipeline, dict[str, object]]:
    """The pipeline, and the types of its columns."""
    rows = table[list(facts)]
    numbers = [name for name, encoding in facts.items() if encoding is None]
    impute = SimpleImputer(strategy="constant", fill_value="missing")
    categories = make_pipeline(impute, OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    encode = ColumnTransformer([("numbers", "passthrough", numbers)], remainder=categories)
    trees = xgboost.XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.15, n_jobs=1)
    model = make_pipeline(encode, CalibratedClassifierCV(trees, method="isotonic", cv=5))
    return model.fit(rows, labels), rows.dtypes.to_dict()
