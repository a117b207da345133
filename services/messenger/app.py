"""How the messenger is put together."""

from functools import partial

import httpx
from fastapi import FastAPI

from services.messenger.artifact import Artifact
from services.messenger.guard import Breaker, GuardedWriter
from services.messenger.handler import draft
from services.messenger.local import LocalWriter
from services.messenger.rank import RewardScorer
from services.messenger.vllm import VLLMWriter
from services.messenger.writers import TemplateWriter, Writer
from shared import telemetry, web
from shared.artifacts import MANIFEST
from shared.bus import Bus
from shared.messages import PlannedContact
from shared.service import Clock, Service, utc_now
from shared.settings import Settings
from shared.store import Store

TOGETHER = 32
"""Briefs in one batch on a processor: more are hardly faster, and are late together."""
CONNECTIONS = 256


async def build(settings: Settings, bus: Bus, store: Store, clock: Clock = utc_now) -> Service:
    writer = chosen(settings)
    kind = "fixed words, not a language model" if settings.writer == "template" else "a language model"
    telemetry.log(f"the writer is {writer.name}: {kind}", version=writer.version)
    return Service("messenger", bus, {PlannedContact: partial(draft, writer=writer, clock=clock)})


def chosen(settings: Settings) -> Writer:
    """Raises `ArtifactError` where the trained writer is chosen and not there."""
    seconds, candidates = settings.writer_seconds, settings.writer_candidates
    folder = settings.artifacts / "messenger"
    match settings.writer:
        case "template":
            return TemplateWriter()
        case "local":
            local = LocalWriter(Artifact.load(folder), candidates)
            return GuardedWriter(local, seconds, Breaker(), together=TOGETHER, at_once=1)
        case "vllm":
            model = Artifact.load(folder).reward if (folder / MANIFEST).exists() else None
            reward = RewardScorer(model) if model else None
            limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
            client = httpx.AsyncClient(base_url=settings.vllm_url, timeout=seconds, limits=limits)
            vllm = VLLMWriter(client, settings.vllm_model, candidates, reward)
            return GuardedWriter(vllm, seconds, Breaker(), together=1, at_once=CONNECTIONS)


def create() -> FastAPI:
    return web.create_app(build)
