"""Make the topics and push subscriptions of `shared/topology.py`, where they are not there yet.

python -m deploy.topology    in the emulator that PUBSUB_EMULATOR_HOST names, else in the cloud
"""

import time
from collections.abc import Callable, Mapping

from google.api_core import exceptions
from google.cloud import pubsub_v1

from shared.settings import Settings
from shared.topology import SUBSCRIPTIONS, TOPICS

ACK_SECONDS = 60
"""Longer than any service takes over a message: who is asked again while still at work does it twice."""
PATIENCE = 60
"""Seconds to wait for Pub/Sub itself to answer."""


def apply(project: str, push_url: Callable[[str], str], token: Mapping[str, str] | None = None) -> None:
    """`push_url` names each service's address, `token` whose identity a push shows, and to whom.

    Done again, it changes nothing but where pushes go, and with which token.
    """
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    topics, subscriptions = f"projects/{project}/topics/", f"projects/{project}/subscriptions/"
    with subscriber:
        for topic in (*TOPICS, *(s.dead_letter_topic for s in SUBSCRIPTIONS)):
            _make(publisher.create_topic, name=topics + topic)
        for s in SUBSCRIPTIONS:
            push = {"push_endpoint": push_url(s.service)} | ({"oidc_token": token} if token else {})
            # What nobody subscribes to is lost, so somebody keeps the dead letters.
            _make(
                subscriber.create_subscription,
                name=f"{subscriptions}{s.dead_letter_topic}.keep",
                topic=topics + s.dead_letter_topic,
            )
            _make(
                subscriber.create_subscription,
                name=subscriptions + s.name,
                topic=topics + s.topic,
                push_config=push,
                ack_deadline_seconds=ACK_SECONDS,
                # No retry_policy: with one, the emulator loses what it could not push. Push backs off by itself.
            )
            subscriber.modify_push_config(subscription=subscriptions + s.name, push_config=push)


def _make(create: Callable[..., object], **request: object) -> None:
    """Create it, unless it is there; wait for a Pub/Sub that is only just starting."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            create(request=request, timeout=10)
            print("made", request["name"], flush=True)
        except exceptions.AlreadyExists:
            print("kept", request["name"], flush=True)
        except (exceptions.ServiceUnavailable, exceptions.RetryError, exceptions.DeadlineExceeded):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
            continue
        return


if __name__ == "__main__":
    settings = Settings()
    account, audience = settings.push_account, settings.push_audience
    token = {"service_account_email": account, "audience": audience} if account else None
    apply(settings.project, lambda service: settings.push_url.format(service=service), token)
