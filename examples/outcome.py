"""Publish the outcome of a decision. It settles the budget, and an opt-out ends all contact.

PUBSUB_EMULATOR_HOST=localhost:8085 python examples/outcome.py call-2026-0001 C20417 accepted
"""

import argparse
import json
import os

from google.cloud import pubsub_v1

OUTCOMES = "accepted declined churned retained delivered bounced opted-out replied".split()
parser = argparse.ArgumentParser(description="Publish the outcome of a decision.")
parser.add_argument("event_id", help="id of the event that was decided")
parser.add_argument("customer_id", help="your id of the customer")
parser.add_argument("outcome", choices=OUTCOMES)
parser.add_argument("--text", help="what the customer wrote, with the outcome replied")
project = os.environ.get("GOOGLE_CLOUD_PROJECT", "retention-local")  # noqa: TID251, examples do not import shared
parser.add_argument("--project", default=project, help="Google Cloud project (default: %(default)s)")
arguments = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}

publisher = pubsub_v1.PublisherClient()
topic = publisher.topic_path(arguments.pop("project"), "outcomes")
print("published as message", publisher.publish(topic, json.dumps(arguments).encode()).result(timeout=60))
