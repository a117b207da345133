from collections import Counter
from pathlib import Path

import pytest

from services.messenger import app
from services.messenger.app import build_writer
from services.messenger.resilience import ResilientWriter
from services.messenger.writers import TemplateWriter
from shared import telemetry
from shared.artifacts import ArtifactError
from shared.bus import LocalBus
from shared.settings import Settings
from shared.store import SQLiteStore
from tests.messenger.tiny_model import TinyModels
from tests.support.briefs import FULL_BRIEF
from tests.support.clock import noon
from tests.support.emulators import free_port

pytestmark = pytest.mark.torch


async def test_the_messenger_logs_which_writer_the_settings_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "retention")

    service = await app.build(Settings(writer="template"), LocalBus(), SQLiteStore(), noon)

    assert list(service.subscriptions) == ["planned-contacts.messenger"]
    assert "the writer is template: fixed words, not a language model" in caplog.text


def test_the_template_needs_no_circuit_breaker() -> None:
    assert isinstance(build_writer(Settings(writer="template")), TemplateWriter)


async def test_the_local_writer_writes_with_the_artifact(tiny: TinyModels) -> None:
    writer = build_writer(Settings(writer="local", artifacts=tiny.artifacts, writer_candidates=8, writer_seconds=60))

    assert isinstance(writer, ResilientWriter)
    assert (writer.name, writer.version) == ("local", "local/tiny")
    assert any(await writer.write([FULL_BRIEF]))


def test_the_local_writer_is_refused_without_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Train the model first"):
        build_writer(Settings(writer="local", artifacts=tmp_path))


@pytest.mark.parametrize("with_reward_model", [True, False])
async def test_an_unreachable_vllm_server_prevents_neither_the_start_nor_a_message(
    tiny: TinyModels, tmp_path: Path, with_reward_model: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifact's reward model ranks its candidates, where there is an artifact."""
    monkeypatch.setattr(telemetry, "counts", Counter())
    artifacts = tiny.artifacts if with_reward_model else tmp_path
    url = f"http://127.0.0.1:{free_port()}"
    writer = build_writer(Settings(writer="vllm", vllm_url=url, vllm_model="opt", artifacts=artifacts))

    assert (writer.name, writer.version) == ("vllm", "vllm/opt")
    assert await writer.write([FULL_BRIEF]) == [[]]
    assert telemetry.counts == {"writer_fallback": 1}


def test_a_damaged_artifact_is_refused_for_vllm_too(tmp_path: Path) -> None:
    (tmp_path / "messenger").mkdir()
    (tmp_path / "messenger" / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError):
        build_writer(Settings(writer="vllm", artifacts=tmp_path))
