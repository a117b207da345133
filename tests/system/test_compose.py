"""docker-compose.yml and the examples say the same as the code. The files are only read; no container is started."""

import re
from pathlib import Path

import pytest
import yaml

from shared.messages import CustomerEvent
from shared.settings import Settings
from shared.topology import SUBSCRIPTIONS
from tests.support.customers import EXAMPLES

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


@pytest.mark.parametrize("service", sorted({s.service for s in SUBSCRIPTIONS}))
def test_every_service_has_a_container(service: str) -> None:
    assert re.search(rf"^  {service}:\n    <<: \*service\n    build: .*\{{SERVICE: {service}\}}", COMPOSE, re.MULTILINE)


def test_every_setting_reaches_the_containers() -> None:
    not_passed = {"port", "state", "artifacts", "push_url", "data", "kaggle_username", "kaggle_key"}
    not_passed |= {"pubsub_emulator_host"}  # set, under Google's name
    passed_on = re.findall(r"^    RETENTION_(\w+):", COMPOSE, re.MULTILINE)
    assert {name.lower() for name in passed_on} == Settings.model_fields.keys() - not_passed


def test_every_built_container_is_read_only_and_can_gain_no_privileges() -> None:
    ours = {name: service for name, service in yaml.safe_load(COMPOSE)["services"].items() if "build" in service}
    assert ours.keys() == {"topology", *(s.service for s in SUBSCRIPTIONS)}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"user", "privileged", "cap_add", "volumes", "tmpfs", "pid", "network_mode"} & service.keys()


def test_the_image_runs_as_an_unprivileged_user() -> None:
    last_stage = (ROOT / "deploy" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == ["65534"]


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_an_event(line: bytes) -> None:
    assert CustomerEvent.parse(line, "1").customer_id.startswith("C")


def test_vllm_runs_with_its_profile_only_and_serves_the_messengers_model() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    vllm, messenger = services["vllm"], services["messenger"]["environment"]
    assert [name for name, service in services.items() if "profiles" in service] == ["vllm"]
    assert vllm["profiles"] == ["gpu"]
    assert re.fullmatch(r"vllm/vllm-openai:v\d+\.\d+\.\d+", vllm["image"])
    [device] = vllm["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert messenger["RETENTION_VLLM_URL"] == "${RETENTION_VLLM_URL:-http://vllm:8000}"
    name = f"${{RETENTION_VLLM_MODEL:-{Settings().vllm_model}}}"
    assert vllm["command"] == ["${RETENTION_VLLM_MODEL:-/model}", "--served-model-name", name]
    assert "./models/messenger/merged:/model:ro" in vllm["volumes"]
