"""The model card, in the words of Mitchell et al. (2019), with the numbers of the run that made the model."""

import re

from shared.artifacts import Manifest

CARD = """# Scorer {version}

Two gradient-boosted models (XGBoost, trees of depth 3), each followed by an isotonic calibrator. Made by `{made_by}`;
the features in order, the sources' checksums and every metric below are in `manifest.json`.

| | learnt from | says |
|---|---|---|
| `risk.ubj` | Telco Customer Churn (IBM sample): 7,043 customers of one fictional company | the probability that a \
customer has left |
| `accept.ubj` | Bank Marketing (Moro, Cortez and Rita 2014): 41,188 sales calls of a Portuguese bank, 2008 to 2010 | \
the probability of a yes at each of the four offer levels |

## Use

To rank and pick the customers of a retention campaign, with a policy and limits behind it. Not for pricing, credit, or
any decision a person could not have undone.

## Metrics

Of 5-fold cross-validation, shuffled: neither model nor calibrator had seen the customer. In brackets the 95 % interval,
by bootstrap over customers. ECE is over 15 bins of equal width.

| | AUC | ECE |
|---|---|---|
| risk | {risk.auc} | {risk.ece} |
| risk, random facts missing | {risk.masked.auc} | {risk.masked.ece} |
| risk, four facts known (tenure, monthly charges, contract, payment) | {risk.demo.auc} | {risk.demo.ece} |
| risk, nothing known | | {risk.id_only.ece} |
| accept | {accept.auc} | {accept.ece} |
| accept, random facts missing | {accept.masked.auc} | {accept.masked.ece} |
| accept, nothing known but the level | | {accept.id_only.ece} |
| accept, last fifth in time, learnt from those before | {accept.forward.auc} | |

Base rates: risk {risk.base_rate}, accept {accept.base_rate}. What learning from customers half known costs in AUC on
customers known whole: risk {risk.masking_cost}, accept {accept.masking_cost} (below 0: it gains).

## By construction

- A longer tenure or contract never raises the risk; a higher offer level never lowers acceptance (monotone constraints,
  and calibrators that never fall).
- A missing fact, or a category the models have not seen, is averaged over: the models also learnt from copies of each
  customer with random facts missing.
- Reasons are exact SHAP values of the uncalibrated risk in log-odds. They say what moved the model, not what would
  change the customer's mind.

## Limits

- **No offer was randomised in these data, nor made.** The level is a stand-in, from how often the bank had to call
  (3: once, 2: twice, 1: three times, 0: more often). The bank called again those who had not said yes, so the slope
  over the levels is selection as much as anything. `P(accept | level)` calibrates a response in those data; it proves
  no effect of a discount. Only a randomised holdout in production can.
- Telco's customers are made up, and its rows bear no dates: nothing is known of drift. The bank's are in order of time,
  and the share of yes rose from 3 % in their first fifth to 31 % in their last: expect neither the AUC nor the
  calibration of the table to hold elsewhere or later. Its last line is what remains of the AUC a fifth further on.
- The two data sets share no customer. A telco customer of whom no bank fact is known gets the average response at each
  level.
- Gender, age and marital status are inputs. Fairness between groups was not examined here.
"""


def card(manifest: Manifest) -> str:
    """The card of a trained scorer. A number that was not measured is a `KeyError`."""
    words = {"version": manifest.version, "made_by": manifest.made_by}

    def number(name: str) -> str:
        metrics = manifest.metrics
        interval = (
            f" ({metrics[f'{name}.low']:.3f} to {metrics[f'{name}.high']:.3f})" if f"{name}.low" in metrics else ""
        )
        return f"{metrics[name]:.4f}{interval}"

    return re.sub(r"{([\w.]+)}", lambda slot: words.get(slot[1]) or number(slot[1]), CARD)
