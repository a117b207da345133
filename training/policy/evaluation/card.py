"""The model card of the policy, with the numbers of the run that made it."""

import re

from shared.artifacts import Manifest

CARD = """# Policy {version}

{kind}: an actor-critic, 9 → 128 → 128 → contact, offer, delay and value (19,727 numbers), trained in simulation.
`training.json` holds the history of every run; the checksums of the data are in `manifest.json`.

## Use

To propose whom to contact, with which discount and when to look again, behind the gate and the escrow of the policy
service. It proposes; they allow. Money has a price, which the network sees as `budget_remaining`: one network serves
every budget.

## Metrics

Share of the Lagrangian bound on what can be gained over doing nothing within the budget, on customers held out (the
704 of the Telco test split, each twice with other lent facts) and in four quarters that no training saw. Median of five
seeds; in brackets the worst and the best.

| budget, of what the optimum spends where money is free | from scratch | warm start |
|---|---|---|
| 10 % | {scratch.0.1} | {warm.0.1} |
| 30 % | {scratch.0.3} | {warm.0.3} |
| 60 % | {scratch.0.6} | {warm.0.6} |

From scratch a network took {train_seconds} seconds (median), at {train_steps_per_second} decisions a second on two
cores. Beside all baselines: `make eval-policy`.

## Limits

- **The effects are assumed, not estimated.** No public data tell what an accepted offer or a contact changes. Each is a
  named parameter with its reason in `services/policy/response/model.py`; `make eval-policy` shows how decisions move
  when one is wrong. The share of the bound says how well the policy solves this world, not what it would earn in yours.
- The Telco customers have no facts about calls; each is lent those of a bank customer at random. The record is
  invented.
- The churn risk of the Telco data is of a stock, without dates; it is taken to come true over a quarter.
- It sees a customer by nine numbers. Gender, age and marital status are among the facts behind them; fairness between
  groups was not examined.
- Only a holdout in production shows what it earns: `RETENTION_HOLDOUT_SHARE`, and `training.policy.ope` on its logs.
"""


def card(manifest: Manifest, kind: str) -> str:
    """Raises KeyError for a number not measured."""
    words = {"version": manifest.version, "kind": kind}

    def number(name: str) -> str:
        metrics = manifest.metrics
        if name in metrics:
            return f"{metrics[name]:,.0f}"
        middle, low, high = (metrics[f"{name}.{which}"] for which in ("median", "low", "high"))
        return f"{middle:.3f} ({low:.3f} to {high:.3f})"

    return re.sub(r"{([\w.]+)}", lambda slot: words.get(slot[1]) or number(slot[1]), CARD)
