"""Evaluate the policies: python -m training.policy.evaluation.evaluate [--mirror DIR] [--data DIR] [--reports DIR]

`assess` measures, `report` writes: policy.html, a page for people; policy.json, the same figures for programs; and
policy_decisions.csv, the decision about each customer with its explanation.
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
from training.policy.customers import SEED, load_population, with_scores
from training.policy.evaluation import report
from training.policy.evaluation.assess import assess
from training.policy.evaluation.sections import Measurements


def main() -> None:
    settings = Settings.from_environment()
    parser = ArgumentParser(
        prog="python -m training.policy.evaluation.evaluate", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--mirror", type=Path, default=settings.data, help="folder of local copies of the data sets")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the prepared data sets")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write the reports to")
    args = parser.parse_args()
    try:
        network = Network.load(settings.artifacts / "policy")
        customers = load_population(args.mirror, args.data, settings.artifacts)
        resampled = load_population(args.mirror, args.data, settings.artifacts, seed=SEED + 1).held_out_facts
    except (SourceError, ArtifactError) as error:
        sys.exit(str(error))
    scorer = ScorerModel.load(settings.artifacts / "scorer")
    without_bank_facts = with_scores(customers.held_out_facts[["customer_id", *RISK_FACTS]], scorer)
    training = json.loads((settings.artifacts / "policy" / "training.json").read_text())
    benchmarks_file = args.reports / "rivals.json"
    benchmarks = json.loads(benchmarks_file.read_text()) if benchmarks_file.exists() else {}
    measurements = Measurements(training, network.manifest.metrics, benchmarks)
    evaluation = assess(customers, resampled, without_bank_facts, network)
    report.write(evaluation, customers.held_out_facts, measurements, args.reports)
    print(f"wrote policy.html, policy.json and policy_decisions.csv to {args.reports}")


if __name__ == "__main__":
    main()
