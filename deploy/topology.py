"""Create the topics and push subscriptions of `shared/topology.py`, where they do not exist yet.

python -m deploy.topology    in the emulator that PUBSUB_EMULATOR_HOST names, otherwise in Google Cloud
"""

import argparse
import time
from collections.abc import Callable, Mapping

from google.api_core import exceptions
from google.cloud import pubsub_v1

from shared.settings import Settings
from shared.topology import SUBSCRIPTIONS, TOPICS

ACK_DEADLINE_SECONDS = 60
"""Longer than any service takes over a message, or Pub/Sub would deliver it again while it is being handled."""
STARTUP_TIMEOUT_SECONDS = 60
"""Time to wait for a Pub/Sub emulator that is starting."""
REQUEST_TIMEOUT_SECONDS = 10


def apply(project: str, push_url: Callable[[str], str], token: Mapping[str, str] | None = None) -> None:
    """Create what is missing, and set where subscriptions push to.

    `push_url` maps the name of a service to its URL. `token` is the identity token that pushes carry, as its
    `service_account_email` and `audience`. Repeating it changes only the URLs and the token.
    """
    publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    topics, subscriptions = f"projects/{project}/topics/", f"projects/{project}/subscriptions/"
    with subscriber:
        for topic in (*TOPICS, *(s.dead_letter_topic for s in SUBSCRIPTIONS)):
            _create(publisher.create_topic, name=topics + topic)
        for s in SUBSCRIPTIONS:
            push_config = {"push_endpoint": push_url(s.service)} | ({"oidc_token": token} if token else {})
            # Messages on a topic without a subscription are lost, so dead letters get one.
            keep = f"{subscriptions}{s.dead_letter_topic}.keep"
            _create(subscriber.create_subscription, name=keep, topic=topics + s.dead_letter_topic)
            _create(
                subscriber.create_subscription,
                name=subscriptions + s.name,
                topic=topics + s.topic,
                push_config=push_config,
                ack_deadline_seconds=ACK_DEADLINE_SECONDS,
                # No retry_policy: with one, the emulator loses what it could not push. Push backs off by itself.
            )
            subscriber.modify_push_config(subscription=subscriptions + s.name, push_config=push_config)


def _create(create: Callable[..., object], **request: object) -> None:
    """Create a resource unless it exists, once Pub/Sub answers. Raises its error after STARTUP_TIMEOUT_SECONDS."""
    end = time.monotonic() + STARTUP_TIMEOUT_SECONDS
    while True:
        try:
            create(request=request, timeout=REQUEST_TIMEOUT_SECONDS)
            print("created", request["name"], flush=True)
        except exceptions.AlreadyExists:
            print("exists", request["name"], flush=True)
        except (exceptions.ServiceUnavailable, exceptions.RetryError, exceptions.DeadlineExceeded):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
            continue
        return


def main() -> None:
    description = "Create the topics and push subscriptions that do not exist yet: in the emulator that "
    description += "PUBSUB_EMULATOR_HOST names, otherwise in the Google Cloud project RETENTION_PROJECT."
    argparse.ArgumentParser(prog="python -m deploy.topology", description=description).parse_args()
    settings = Settings.from_environment()
    account, audience = settings.push_account, settings.push_audience
    token = {"service_account_email": account, "audience": audience} if account else None
    apply(settings.project, lambda service: settings.push_url.format(service=service), token)


if __name__ == "__main__":
    main()
