"""The model card of the policy, with the figures of the training run."""

import re

from shared.artifacts import Manifest

CARD = """# Policy {version}

{kind}: an actor-critic network, 9 → 128 → 128 → contact, offer, delay and value (19,727 parameters), trained in
simulation. `training.json` holds the history of every run; the checksums of the data are in `manifest.json`.

## Use

To propose whom to contact, with which discount, and when to decide again, behind the gate and the budget ledger of the
policy service. The network proposes; gate and ledger decide whether it is allowed. It sees the shadow price of the
budget as `budget_remaining`, so one network serves every budget.

## Metrics

Share of the Lagrangian bound on the incremental value over contacting nobody within the budget, on held-out customers
(the 704 of the Telco test split, each with two draws of bank facts), in four campaigns that training does not use.
Median of five seeds; in brackets the worst and the best.

| budget, as a share of what the optimal policy spends without one | from scratch | warm start |
|---|---|---|
| 10 % | {scratch.0.1} | {warm.0.1} |
| 30 % | {scratch.0.3} | {warm.0.3} |
| 60 % | {scratch.0.6} | {warm.0.6} |

Training from scratch took {train_seconds} seconds (median), at {train_steps_per_second} decisions a second with two
runs in parallel. Comparison with the baselines: `make eval-policy`.

## Limits

- **The effects are assumed, not estimated.** No public data show the effect of an accepted offer or of a contact. Each
  effect is a named parameter with its reason in `services/policy/response/model.py`; `make eval-policy` shows how
  decisions change if one is wrong. The share of the bound says how well the policy solves this simulation, not what it
  would earn in production.
- The Telco data have no acceptance. Each Telco customer gets the facts of a bank customer, drawn at random: the
  combined record is invented.
- The churn label of the Telco data has no dates; the predicted risk is assumed to be that of churn within 90 days.
- The network sees a customer as nine numbers. Gender, age and marital status are among the facts behind them; fairness
  between groups was not examined.
- Only a holdout in production shows what the policy earns: `RETENTION_HOLDOUT_SHARE`, and `training.policy.ope` on its
  logs.
"""


def card(manifest: Manifest, kind: str) -> str:
    """The card in Markdown, `kind` being how the network was trained. Raises KeyError if a metric is missing."""
    texts = {"version": manifest.version, "kind": kind}

    def figure(name: str) -> str:
        metrics = manifest.metrics
        if name in metrics:
            return f"{metrics[name]:,.0f}"
        median, low, high = (metrics[f"{name}.{statistic}"] for statistic in ("median", "low", "high"))
        return f"{median:.3f} ({low:.3f} to {high:.3f})"

    return re.sub(r"{([\w.]+)}", lambda slot: texts.get(slot[1]) or figure(slot[1]), CARD)
