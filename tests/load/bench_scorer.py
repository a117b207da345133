"""What scoring is measured beside: the bare predict calls, and the pipeline that one would otherwise write."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from services.scorer.features import ACCEPT_FACTS, RISK_FACTS, Encoding
from services.scorer.model import INPUTS
from shared.artifacts import ARTIFACTS
from shared.messages import OFFERS, CustomerFacts
from training.data.pipeline import load, prepare


class Bare:
    """Risk, its contributions and acceptance by XGBoost itself, of rows that are ready. Threads: 0 is all cores."""

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


class Usual:
    """Calibrated XGBoost on data frames, by scikit-learn, trained on `data`. It gives no reasons."""

    def __init__(self, data: Path) -> None:
        with TemporaryDirectory() as out:
            for name in ("telco", "bank"):
                prepare(name, data, Path(out))
            customers, calls = load("telco", Path(out), "train"), load("bank", Path(out), "train")
        self._risk, self._risk_types = pipeline(RISK_FACTS, customers, customers["churned"])
        self._accept, self._accept_types = pipeline(ACCEPT_FACTS | {"offer_level": None}, calls, calls["accepted"])

    def __call__(self, customer: CustomerFacts) -> tuple[float, list[float]]:
        """The risk, and acceptance at each level."""
        facts = vars(customer)
        alone = pd.DataFrame([facts])[list(self._risk_types)].astype(self._risk_types)
        levels = pd.DataFrame([facts | {"offer_level": level} for level in range(len(OFFERS))])
        levels = levels[list(self._accept_types)].astype(self._accept_types)
        return float(self._risk.predict_proba(alone)[0, 1]), self._accept.predict_proba(levels)[:, 1].tolist()


def pipeline(
    facts: Mapping[str, Encoding], table: pd.DataFrame, labels: pd.Series
) -> tuple[Pipeline, dict[str, object]]:
    """A pipeline that has learnt `labels`, and the types of its columns."""
    rows = table[list(facts)]
    numbers = [name for name, encoding in facts.items() if encoding is None]
    impute = SimpleImputer(strategy="constant", fill_value="missing")
    categories = make_pipeline(impute, OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    encode = ColumnTransformer([("numbers", "passthrough", numbers)], remainder=categories)
    trees = xgboost.XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.15, n_jobs=1)
    model = make_pipeline(encode, CalibratedClassifierCV(trees, method="isotonic", cv=5))
    return model.fit(rows, labels), rows.dtypes.to_dict()
