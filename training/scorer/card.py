"""The model card, in the sections of Mitchell et al. (2019), with the metrics of the run that trained the model."""

import re
from collections.abc import Mapping
from html import escape
from typing import Literal

from services.scorer.features import RISK_FACTS
from shared.artifacts import Manifest
from training.data.user_data import UserData

ModelName = Literal["risk", "accept"]

CARD_FILE = "MODEL_CARD.md"
TELCO_CUSTOMERS = "Telco Customer Churn (IBM sample): 7,032 complete customers of one fictional company"
RISK_ROW = re.compile(r"^\| `risk\.ubj` \| (.*) \| [^|]* \|$", re.MULTILINE)
"""The row of the card's table on the risk; group 1 is its training data."""

CARD = """# Scorer {version}

Two gradient-boosted models (XGBoost, trees of depth 3), each followed by an isotonic calibrator. Made by `{made_by}`;
the features in order, the sources' checksums and every metric below are in `manifest.json`.{kept}

| | trained on | predicts |
|---|---|---|
| `risk.ubj` | {customers} | the probability that a customer has left |
| `accept.ubj` | Bank Marketing (Moro, Cortez and Rita 2014): 41,188 sales calls of a Portuguese bank, 2008 to 2010 | \
the probability of a yes at each of the four offer levels |

The recipe was evaluated by cross-validation over all rows. The models of this artifact were trained on nine tenths of
them (the training and validation splits) and tested on the last tenth. `curves.json` holds the calibrators, fitted on
out-of-fold predictions; `reference.json` the histograms that the scorer's counts are compared with.

## Use

To rank and select the customers of a retention campaign, with a policy and limits behind it. Not for pricing, credit,
or any decision that a person could not have undone.

## Metrics

From 5-fold cross-validation, shuffled and repeated three times: neither trees nor calibrator were fitted on the label
of a customer whom they predict. In brackets the 95 % interval: of the AUC over the 15 folds (Nadeau and Bengio 2003),
of the ECE by bootstrap over customers, and in order of time over blocks of 250 calls. The ECE is over 15 bins of equal
width and all customers of a repeat.

| | AUC | ECE |
|---|---|---|
| risk | {risk.auc} | {risk.ece} |
| risk, random facts missing | {risk.masked.auc} | {risk.masked.ece} |
| risk, four facts known (tenure, monthly charges, contract, payment) | {risk.demo.auc} | {risk.demo.ece} |
| risk, nothing known | | {risk.id_only.ece} |
| risk, the test split (perfect calibration would show an ECE of {risk.test.ece_by_chance} there) | {risk.test.auc} | \
{risk.test.ece} |
| accept | {accept.serving.auc} | {accept.serving.ece} |
| accept, random facts missing | {accept.serving.masked.auc} | {accept.serving.masked.ece} |
| accept, nothing known but the level | | {accept.serving.id_only.ece} |
| accept, the test split (by chance {accept.serving.test.ece_by_chance}) | {accept.serving.test.auc} | \
{accept.serving.test.ece} |
| accept, last fifth in order of time, calibrated once | {accept.serving.time_fixed_auc} | \
{accept.serving.time_fixed_ece} |
| accept, last fifth in order of time, recalibrated every 250 calls | {accept.serving.time_auc} | \
{accept.serving.time_ece} |
| *for comparison, not served:* | | |
| accept, from all that was known before the call | {accept.auc} | {accept.ece} |
| the same, last fifth in order of time, recalibrated | {accept.time_auc} | {accept.time_ece} |
| the recent share of yes alone, last fifth in order of time | {accept.time_rate_auc} | {accept.time_rate_ece} |

Over all customers of a repeat the errors of five calibrators cancel in part. Within a fold the ECE is
{risk.fold_ece} for risk and {accept.serving.fold_ece} for accept, where perfect calibration would show
{risk.fold_ece_by_chance} and {accept.serving.fold_ece_by_chance} by chance; with four facts known it is
{risk.demo.fold_ece}, against {risk.demo.fold_ece_by_chance}. Base rates: risk {risk.base_rate}, accept
{accept.base_rate}.

On the same folds logistic regression has an AUC of {risk.logistic.auc} and {accept.serving.logistic.auc}, and
scikit-learn's CalibratedClassifierCV around the default XGBoost {risk.sklearn_xgboost.auc} and
{accept.serving.sklearn_xgboost.auc}. In order of time, the recalibrated model's AUC is {accept.serving.time_gain_auc}
higher than that of the recent share of yes alone.

## By construction

- A longer tenure or contract never raises the risk; a higher offer level never lowers acceptance (monotone constraints,
  and calibrators that never fall).
- A missing fact, or a category that is not in the training data, is averaged over: the models were also trained on
  copies of each customer with random facts missing.
- Reasons are exact SHAP values of the uncalibrated risk in log-odds. They say what moved the prediction, not what would
  change the customer's mind.

## Limits

- **No offer was randomised in these data, nor made.** The level is a stand-in, from how often the bank had to call
  (3: once, 2: twice, 1: three times, 0: more often). The bank called again those who had not said yes, so the slope
  over the levels is selection as much as anything. `P(accept | level)` calibrates a response in those data; it proves
  no effect of a discount. Only a randomised holdout in production can.
- The bank's calls are in order of time, and the share of yes rose from 3 % in their first fifth to 31 % in their last:
  a fixed calibration does not survive that, and much of the AUC of a recalibrated one comes from knowing the recent
  share, as the last line of the table shows. The customers of the risk bear no dates, so nothing is known of its drift.
  Check both with `python -m training.scorer.drift`.
- The two data sets share no customer. A telco customer of whom no bank fact is known gets the average response at each
  level.
- Gender, age and marital status are inputs. Fairness between groups was not examined here.
"""


def user_data_summary(data: UserData) -> list[str]:
    """Sentences about a user's customers: their number, and the facts, values, columns and rows that are not used."""
    churned = data.rows["churned"]
    unknown_numbers = {fact: count for fact, count in data.unknown.items() if RISK_FACTS[fact] is None}
    unknown_categories = {fact: count for fact, count in data.unknown.items() if fact not in unknown_numbers}
    notes = {
        "not known of anyone": ", ".join(data.missing),
        "values that are no known category, taken as missing": _counts(unknown_categories),
        "values that are no number, taken as missing": _counts(unknown_numbers),
        "mapped values that no row has": _listed(data.unused_values),
        "columns not used": ", ".join(data.ignored),
        "columns that alone tell who left, rightly not used": ", ".join(
            f"{c} (AUC {auc})" for c, auc in data.leaks.items()
        ),
        "rows dropped": _counts(data.dropped),
    }
    sentences = [f"{note}: {text}." for note, text in notes.items() if text] + [f"{note}." for note in data.notes]
    return [f"{len(churned):,} customers, of whom {churned.mean():.1%} had left.", *sentences]


def _listed(values: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{fact} {', '.join(map(repr, names))}" for fact, names in values.items())


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items() if count)


def markdown_text(text: str) -> str:
    """Text of users, escaped for a cell of a Markdown table."""
    return re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", escape(" ".join(text.split()), quote=False))


def customers_in_card(card: str) -> str:
    """Description of the training customers of the risk, in Markdown, from a model card."""
    row = RISK_ROW.search(card)
    return row[1] if row else "not stated in the previous model card"


def model_card(manifest: Manifest, customers: str, kept_from: Mapping[ModelName, str] = {}) -> str:
    """The card. Raises KeyError for a metric that is missing.

    `customers` describes the training customers of the risk, in Markdown; `kept_from` has the version of the artifact
    that a model was taken from, for models that this run did not train.
    """
    texts = {
        "version": manifest.version,
        "made_by": manifest.made_by,
        "customers": customers,
        "kept": "".join(f"\n\n{_kept_note(name, version)}" for name, version in kept_from.items()),
    }

    def metric(name: str) -> str:
        metrics = manifest.metrics
        interval = (
            f" ({metrics[f'{name}.low']:.3f} to {metrics[f'{name}.high']:.3f})" if f"{name}.low" in metrics else ""
        )
        return f"{metrics[name]:.4f}{interval}"

    return re.sub(r"{([\w.]+)}", lambda slot: texts[slot[1]] if slot[1] in texts else metric(slot[1]), CARD)


def _kept_note(name: ModelName, version: str) -> str:
    trained = "accept" if name == "risk" else "risk"
    return (
        f"Only `{trained}.ubj` was trained in this run. `{name}.ubj`, its calibrator and all its metrics below are\n"
        f"kept from version {version}."
    )
