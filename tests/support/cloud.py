"""A user of the system on Pub/Sub and Firestore: publishes, pulls decisions and dead letters, and reads the ledger."""

import json
import time
from collections.abc import Mapping

from google.cloud import firestore, pubsub_v1

from shared.messages import Decision

TIMEOUT_SECONDS = 60


class CloudClient:
    def __init__(self, project: str) -> None:
        self.project = project
        self.publisher, self.subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        self.firestore = firestore.Client(project=project)
        self.decisions_subscription = self.subscribe("decisions")

    def subscribe(self, topic: str) -> str:
        """The name of a new pull subscription."""
        name = f"projects/{self.project}/subscriptions/{topic}.user"
        self.subscriber.create_subscription(name=name, topic=self._topic(topic))
        return name

    def publish(self, topic: str, *messages: Mapping[str, object] | bytes) -> None:
        data = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        for future in [self.publisher.publish(self._topic(topic), d) for d in data]:
            future.result(timeout=30)

    def decisions(self, events: int) -> list[Decision]:
        """Pull until so many events have a decision, and no further one comes."""
        decisions: list[Decision] = []
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            pulled = [Decision.parse(m.data, m.message_id) for m in self.pull(self.decisions_subscription)]
            decisions += pulled
            if pulled:
                continue
            if len({d.event_id for d in decisions}) >= events:
                break
            time.sleep(0.5)
        return decisions

    def pull(self, subscription: str) -> list[pubsub_v1.types.PubsubMessage]:
        """The messages that wait, acknowledged."""
        pulled = self.subscriber.pull(subscription=subscription, max_messages=1000, timeout=20, return_immediately=True)
        ids = [m.ack_id for m in pulled.received_messages]
        if ids:
            self.subscriber.acknowledge(subscription=subscription, ack_ids=ids)
        return [m.message for m in pulled.received_messages]

    def dead_letters(self, subscription: str) -> list[pubsub_v1.types.PubsubMessage]:
        """The dead letters since the last call."""
        name, letters = f"projects/{self.project}/subscriptions/{subscription}.dead.keep", []
        while pulled := self.pull(name):
            letters += pulled
        return letters

    def shards(self) -> list[dict[str, int]]:
        return [snapshot.to_dict() for snapshot in self.firestore.collection("budget-shards").stream()]

    def balance(self) -> dict[str, int]:
        """The ledger in cents, over all shards."""
        shards = self.shards()
        return {name: sum(shard[name] for shard in shards) for name in ("allotment", "reserved", "committed")}

    def close(self) -> None:
        for client in (self.firestore, self.subscriber, self.publisher.transport):
            client.close()

    def _topic(self, topic: str) -> str:
        return f"projects/{self.project}/topics/{topic}"
