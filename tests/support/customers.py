"""Customers of the examples, which several tests use."""

import json
from pathlib import Path

EXAMPLES = (Path(__file__).parents[2] / "examples" / "customers.jsonl").read_bytes().splitlines()
SAM: dict[str, object] = json.loads(EXAMPLES[0])
"""The customer of the demo: four facts and a name."""
