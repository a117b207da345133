"""Publish customer events: each line of a file.

PUBSUB_EMULATOR_HOST=localhost:8085 python examples/publish.py    to docker compose; without the variable, to the cloud
"""

import argparse
import os
from pathlib import Path

from google.cloud import pubsub_v1

parser = argparse.ArgumentParser(description="Publish each line of a file as a customer event.")
default = Path(__file__).with_name("customers.jsonl")
parser.add_argument("events", nargs="?", type=Path, default=default, help="file of events, one JSON object per line")
project = os.environ.get("GOOGLE_CLOUD_PROJECT", "retention-local")  # noqa: TID251, examples do not import shared
parser.add_argument("--project", default=project, help="Google Cloud project (default: %(default)s)")
arguments = parser.parse_args()

publisher = pubsub_v1.PublisherClient()
topic = publisher.topic_path(arguments.project, "customer-events")
lines = [line for line in arguments.events.read_bytes().splitlines() if line.strip()]
for future in [publisher.publish(topic, line) for line in lines]:
    print("published as message", future.result(timeout=60))
