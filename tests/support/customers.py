"""Customers that several tests know."""

import json
from pathlib import Path

EXAMPLES = (Path(__file__).parents[2] / "examples" / "customers.jsonl").read_bytes().splitlines()
SAM: dict[str, object] = json.loads(EXAMPLES[0])
"""The demo: four facts and a name."""
