"""Pub/Sub as a bus, and the dead letters in it."""

import asyncio
from collections.abc import Sequence

from google.api_core import exceptions, retry
from google.cloud import pubsub_v1

from shared.bus import Envelope, original_message
from shared.gcp.errors import translated
from shared.topology import SUBSCRIPTIONS, TOPICS, Subscription

PUBLISH_TIMEOUT_SECONDS = 20.0
"""Time after which a publish fails, so that the message that caused it is retried."""
PULL_TIMEOUT_SECONDS = 5.0
"""Time to wait for a dead letter before concluding that there is none."""
CHECK_TIMEOUT_SECONDS = 4.0


class PubSubBus:
    """Publishes to Pub/Sub; the messages of one call are sent in batches and confirmed one by one."""

    def __init__(self, project: str) -> None:
        self._topics = f"projects/{project}/topics/"
        retries = retry.Retry(
            initial=0.1, maximum=5, timeout=PUBLISH_TIMEOUT_SECONDS, predicate=retry.if_transient_error
        )
        with translated("Pub/Sub"):
            self._client = pubsub_v1.PublisherClient(
                batch_settings=pubsub_v1.types.BatchSettings(max_latency=0),  # a push waits for the confirmation
                publisher_options=pubsub_v1.types.PublisherOptions(retry=retries, timeout=PUBLISH_TIMEOUT_SECONDS),
            )

    async def publish(self, envelopes: Sequence[Envelope]) -> list[str]:
        futures = [
            self._client.publish(self._topics + envelope.topic, envelope.data, **envelope.attributes)
            for envelope in envelopes
        ]
        with translated("Pub/Sub", exceptions.NotFound, exceptions.Forbidden):
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    async def check(self) -> None:
        topic = self._topics + TOPICS[0]
        await asyncio.to_thread(self._client.get_topic, topic=topic, timeout=CHECK_TIMEOUT_SECONDS)

    def close(self) -> None:
        self._client.stop()


class PubSubDeadLetters:
    """The dead letters in Pub/Sub. They are leased while this object is open, and then released."""

    def __init__(self, project: str) -> None:
        self._subscriptions = f"projects/{project}/subscriptions/"
        self._bus = PubSubBus(project)
        with translated("Pub/Sub"):
            self._client = pubsub_v1.SubscriberClient()
        self._leased: dict[str, tuple[str, str]] = {}
        """Subscription and acknowledgement id of each letter."""

    async def read_all(self) -> list[Envelope]:
        await asyncio.to_thread(self._check)
        by_subscription = await asyncio.gather(
            *(asyncio.to_thread(self._pull, subscription) for subscription in SUBSCRIPTIONS)
        )
        return [letter for letters in by_subscription for letter in letters]

    async def replay(self, letters: Sequence[Envelope]) -> None:
        for letter in letters:
            await self._bus.publish([original_message(letter)])
            subscription, ack_id = self._leased.pop(letter.id)
            self._client.acknowledge(subscription=subscription, ack_ids=[ack_id])

    def close(self) -> None:
        for subscription, ack_id in self._leased.values():
            self._client.modify_ack_deadline(subscription=subscription, ack_ids=[ack_id], ack_deadline_seconds=0)
        self._client.close()
        self._bus.close()

    def _check(self) -> None:
        """Raise LookupError where there are no subscriptions, `UnavailableError` where Pub/Sub does not answer soon."""
        path = f"{self._subscriptions}{SUBSCRIPTIONS[0].dead_letter_topic}.keep"
        try:
            with translated("Pub/Sub", exceptions.Forbidden):
                self._client.get_subscription(subscription=path, timeout=CHECK_TIMEOUT_SECONDS, retry=None)
        except exceptions.NotFound as error:
            raise LookupError(f"there is no subscription {path}. Run: python -m deploy.topology") from error

    def _pull(self, subscription: Subscription) -> list[Envelope]:
        """Lease all dead letters of a subscription: pull until nothing more arrives, or only what is leased already."""
        dead_letter_topic, letters = subscription.dead_letter_topic, dict[str, Envelope]()
        path = f"{self._subscriptions}{dead_letter_topic}.keep"
        while True:
            try:
                response = self._client.pull(subscription=path, max_messages=1000, timeout=PULL_TIMEOUT_SECONDS)
                pulled = response.received_messages
            except exceptions.DeadlineExceeded:
                pulled = []
            except exceptions.NotFound as error:
                raise LookupError(f"there is no subscription {path}. Run: python -m deploy.topology") from error
            known = len(letters)
            for received in pulled:
                message = received.message
                self._leased[message.message_id] = path, received.ack_id
                letters[message.message_id] = Envelope(
                    dead_letter_topic, message.data, dict(message.attributes), message.message_id
                )
            if len(letters) == known:
                return list(letters.values())
