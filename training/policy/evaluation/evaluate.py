"""Evaluate the policies: python -m training.policy.evaluation.evaluate [--mirror DIR] [--data DIR] [--reports DIR]

Writes policy.html, to look at, policy.json, for machines, and policy_decisions.csv: each customer's decision, and why.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from services.policy.policies.network import Network
from services.scorer.features import RISK_FACTS
from services.scorer.model import ScorerModel
from shared.artifacts import ArtifactError
from shared.settings import Settings
from training.data.sources import SourceError
from training.policy.customers import SEED, population, scored
from training.policy.evaluation import report
from training.policy.evaluation.assess import evaluated
from training.policy.evaluation.sections import Record


def main() -> None:
    settings = Settings()
    parser = ArgumentParser(
        prog="python -m training.policy.evaluation.evaluate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--mirror", type=Path, default=settings.data, help="folder of copies of the data sets")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets made ready")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    args = parser.parse_args()
    try:
        network = Network.load(settings.artifacts / "policy")
        found = population(args.mirror, args.data, settings.artifacts)
        redrawn = population(args.mirror, args.data, settings.artifacts, seed=SEED + 1).people
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))
    unlent = scored(found.people[["customer_id", *RISK_FACTS]], ScorerModel.load(settings.artifacts / "scorer"))
    training = json.loads((settings.artifacts / "policy" / "training.json").read_text())
    rivals = args.reports / "rivals.json"
    beside = json.loads(rivals.read_text()) if rivals.exists() else {}
    record = Record(training, network.manifest.metrics, beside)
    report.write(evaluated(found, redrawn, unlent, network), found.people, record, args.reports)
    print(f"written to {args.reports / 'policy.html'}, policy.json and policy_decisions.csv")


if __name__ == "__main__":
    main()
