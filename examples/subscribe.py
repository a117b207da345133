"""Print decisions as they are made, one JSON object a line, until interrupted.

PUBSUB_EMULATOR_HOST=localhost:8085 python examples/subscribe.py    from docker compose; without it, from the cloud

Start it before you publish: a subscription hears what is said after it was made. Delivery is at least once, so a
program that acts on decisions knows each by its `id`.
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
project = os.environ.get("GOOGLE_CLOUD_PROJECT", "retention-local")  # noqa: TID251, an example stands alone
parser.add_argument("--project", default=project)
parser.add_argument("--subscription", default="decisions.example")
parser.add_argument("--count", type=int, metavar="N", help="stop after N decisions")
parser.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds")
arguments = parser.parse_args()

subscriber = pubsub_v1.SubscriberClient()
subscription = subscriber.subscription_path(arguments.project, arguments.subscription)
topic = subscriber.topic_path(arguments.project, "decisions")
with suppress(AlreadyExists):
    subscriber.create_subscription(name=subscription, topic=topic)

seen = count(1)


def show(message: Message) -> None:
    print(message.data.decode() + "\n", end="", flush=True)  # one write: callbacks run in several threads
    message.ack()
    if next(seen) == arguments.count:
        stream.cancel()


stream = subscriber.subscribe(subscription, callback=show)
try:
    stream.result(timeout=arguments.seconds)
except (TimeoutError, KeyboardInterrupt):
    stream.cancel()
    stream.result()  # until what was shown is acknowledged
