"""Publish customer events: each line of a file.

PUBSUB_EMULATOR_HOST=localhost:8085 python examples/publish.py    to docker compose; without the variable, to the cloud
"""

import argparse
import os
from pathlib import Path

from google.cloud import pubsub_v1

parser = argparse.ArgumentParser(description="Publish each line of a file to customer-events.")
parser.add_argument("events", nargs="?", type=Path, default=Path(__file__).with_name("customers.jsonl"))
project = os.environ.get("GOOGLE_CLOUD_PROJECT", "retention-local")  # noqa: TID251, an example stands alone
parser.add_argument("--project", default=project)
arguments = parser.parse_args()

publisher = pubsub_v1.PublisherClient()
topic = publisher.topic_path(arguments.project, "customer-events")
lines = [line for line in arguments.events.read_bytes().splitlines() if line.strip()]
for published in [publisher.publish(topic, line) for line in lines]:
    print("published as message", published.result(timeout=60))
