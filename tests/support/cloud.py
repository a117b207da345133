"""What a user of the system on Pub/Sub and Firestore has: a publisher, a subscription on decisions, and a look at the
ledger."""

import json
import time

from google.cloud import firestore, pubsub_v1

from shared.messages import Decision

PATIENCE = 60


class Cloud:
    def __init__(self, project: str) -> None:
        self.project = project
        self.publisher, self.subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        self.firestore = firestore.Client(project=project)
        self.mine = self.subscribe("decisions")

    def subscribe(self, topic: str) -> str:
        """A subscription of one's own, to pull from."""
        name = f"projects/{self.project}/subscriptions/{topic}.mine"
        self.subscriber.create_subscription(name=name, topic=self._topic(topic))
        return name

    def publish(self, topic: str, *messages: dict[str, object] | bytes) -> None:
        data = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        for future in [self.publisher.publish(self._topic(topic), d) for d in data]:
            future.result(timeout=30)

    def decisions(self, events: int) -> list[Decision]:
        """Pulled until there is one of so many events, and nothing more comes."""
        found: list[Decision] = []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            new = [Decision.parse(m.data, m.message_id) for m in self.pull(self.mine)]
            found += new
            if new:
                continue
            if len({d.event_id for d in found}) >= events:
                break
            time.sleep(0.5)
        return found

    def pull(self, subscription: str) -> list[pubsub_v1.types.PubsubMessage]:
        """What is there now."""
        answer = self.subscriber.pull(subscription=subscription, max_messages=1000, timeout=20, return_immediately=True)
        ids = [m.ack_id for m in answer.received_messages]
        if ids:
            self.subscriber.acknowledge(subscription=subscription, ack_ids=ids)
        return [m.message for m in answer.received_messages]

    def dead_letters(self, subscription: str) -> list[pubsub_v1.types.PubsubMessage]:
        """All that were kept since one looked last."""
        keep, found = f"projects/{self.project}/subscriptions/{subscription}.dead.keep", []
        while some := self.pull(keep):
            found += some
        return found

    def shards(self) -> list[dict[str, int]]:
        return [s.to_dict() for s in self.firestore.collection("budget-shards").stream()]

    def balance(self) -> dict[str, int]:
        shards = self.shards()
        return {name: sum(s[name] for s in shards) for name in ("allotment", "reserved", "committed")}

    def close(self) -> None:
        for client in (self.firestore, self.subscriber, self.publisher.transport):
            client.close()

    def _topic(self, topic: str) -> str:
        return f"projects/{self.project}/topics/{topic}"
