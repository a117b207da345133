"""The subscriptions that `deploy.topology` creates in the emulator."""

import pytest

from deploy import topology
from shared.topology import SUBSCRIPTIONS
from tests.support.emulators import Hosts

pytestmark = pytest.mark.emulator
TOKEN = {"service_account_email": "pusher@retention.iam.gserviceaccount.com", "audience": "retention"}


def test_pushes_carry_a_token_once_an_account_is_set(emulators: Hosts, project: str) -> None:
    from google.cloud import pubsub_v1

    with pubsub_v1.SubscriberClient() as subscriber:

        def push_configs() -> list[tuple[str, str, str]]:
            configs = [
                subscriber.get_subscription(subscription=f"projects/{project}/subscriptions/{s.name}").push_config
                for s in SUBSCRIPTIONS
            ]
            return [(c.push_endpoint, c.oidc_token.service_account_email, c.oidc_token.audience) for c in configs]

        topology.apply(project, lambda service: f"http://{service}/")
        assert push_configs() == [(f"http://{s.service}/", "", "") for s in SUBSCRIPTIONS]
        topology.apply(project, lambda service: f"https://{service}/", TOKEN)
        assert push_configs() == [(f"https://{s.service}/", *TOKEN.values()) for s in SUBSCRIPTIONS]
