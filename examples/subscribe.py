"""Print decisions as they are made, one JSON object per line, until interrupted.

PUBSUB_EMULATOR_HOST=localhost:8085 python examples/subscribe.py    from docker compose; without it, from the cloud

Start it before you publish: a subscription only gets messages that are published after it is created. Delivery is at
least once, so a program that acts on decisions should ignore an `event_id` that it has already handled.
"""

import argparse
import os
from concurrent.futures import TimeoutError
from contextlib import suppress
from itertools import count

from google.api_core.exceptions import AlreadyExists
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message

parser = argparse.ArgumentParser(description="Print decisions as they are made.")
project = os.environ.get("GOOGLE_CLOUD_PROJECT", "retention-local")  # noqa: TID251, examples do not import shared
parser.add_argument("--project", default=project, help="Google Cloud project (default: %(default)s)")
parser.add_argument("--subscription", default="decisions.example", help="created if needed (default: %(default)s)")
parser.add_argument("--count", type=int, metavar="N", help="stop after N decisions")
parser.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds")
arguments = parser.parse_args()

subscriber = pubsub_v1.SubscriberClient()
subscription = subscriber.subscription_path(arguments.project, arguments.subscription)
topic = subscriber.topic_path(arguments.project, "decisions")
with suppress(AlreadyExists):
    subscriber.create_subscription(name=subscription, topic=topic)

printed = count(1)


def print_decision(message: Message) -> None:
    print(message.data.decode() + "\n", end="", flush=True)  # a single write, because callbacks run in several threads
    message.ack()
    if next(printed) == arguments.count:
        stream.cancel()


stream = subscriber.subscribe(subscription, callback=print_decision)
try:
    stream.result(timeout=arguments.seconds)
except (TimeoutError, KeyboardInterrupt):
    stream.cancel()
    stream.result()  # wait until what was printed is acknowledged
