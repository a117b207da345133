"""Composition of the messenger."""

from functools import partial

import httpx
from fastapi import FastAPI

from services.messenger.artifact import Artifact
from services.messenger.handler import draft
from services.messenger.local import LocalWriter
from services.messenger.rank import RewardScorer
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.vllm import VLLMWriter
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry, web
from shared.artifacts import MANIFEST
from shared.bus import Bus
from shared.messages import PlannedContact
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store

LOCAL_BATCH_SIZE = 32
"""Briefs written at once on this processor; larger batches are hardly faster, and each brief waits for its batch."""
MAX_CONNECTIONS = 256
"""Connections to the vLLM server, one request each."""


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    writer = build_writer(settings)
    kind = "fixed words, not a language model" if settings.writer == "template" else "a language model"
    telemetry.log(f"the writer is {writer.name}: {kind}", version=writer.version)
    return Service("messenger", bus, {PlannedContact: partial(draft, writer=writer, clock=clock)})


def build_writer(settings: Settings) -> Writer:
    """The writer that the settings name. Raises `ArtifactError` where its artifact is damaged or missing."""
    timeout_seconds, candidates = settings.writer_seconds, settings.writer_candidates
    folder = settings.artifacts / "messenger"
    match settings.writer:
        case "template":
            return TemplateWriter()
        case "local":
            local = LocalWriter(Artifact.load(folder), candidates)
            return ResilientWriter(
                local, timeout_seconds, CircuitBreaker(), batch_size=LOCAL_BATCH_SIZE, max_concurrency=1
            )
        case "vllm":
            model = Artifact.load(folder).reward if (folder / MANIFEST).exists() else None
            reward = RewardScorer(model) if model else None
            limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
            client = httpx.AsyncClient(base_url=settings.vllm_url, timeout=timeout_seconds, limits=limits)
            vllm = VLLMWriter(client, settings.vllm_model, candidates, reward)
            return ResilientWriter(
                vllm, timeout_seconds, CircuitBreaker(), batch_size=1, max_concurrency=MAX_CONNECTIONS
            )


def create() -> FastAPI:
    return web.create_app(build)
