"""A service as a web app: Pub/Sub pushes to it, and it says how it is. Knows nothing of Google's clients."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field, ValidationError

from shared import identity, telemetry
from shared.bus import Bus, Envelope
from shared.service import OverloadedError, Queue, Service, error_summary, tune_garbage_collector
from shared.settings import Settings
from shared.store import Store

MAX_PUSH_BYTES = 15 * 1024 * 1024
"""Of a push: Pub/Sub's largest message, 10 MB, in base64."""

Build = Callable[[Settings, Bus, Store], Awaitable[Service]]
Connect = Callable[[Settings], AbstractAsyncContextManager[tuple[Bus, Store]]]


class PubSubMessage(BaseModel):
    """As Pub/Sub's REST interface writes it."""

    data: str = ""
    attributes: dict[str, str] = {}
    message_id: str = Field(default="", alias="messageId")

    def envelope(self, topic: str) -> Envelope:
        try:
            return Envelope(topic, base64.b64decode(self.data, validate=True), self.attributes, self.message_id)
        except ValueError as error:
            raise HTTPException(400, f"data is not base64: {error}") from error


class Push(BaseModel):
    message: PubSubMessage
    subscription: str


def google_cloud(settings: Settings) -> AbstractAsyncContextManager[tuple[Bus, Store]]:
    """Pub/Sub and Firestore, or their emulators where Google's own variables name them."""
    from shared import gcp

    return gcp.connect(settings)


def push_authenticator(settings: Settings) -> identity.TokenAuthenticator | None:
    if settings.push_account:
        return identity.token_authenticator(settings, settings.push_audience, [settings.push_account])
    telemetry.log("no push account is set: whoever reaches this service may push to it")
    return None


async def authenticate_push(request: Request, bearer: identity.Bearer) -> None:
    """That it is the push account who asks, where one is set."""
    if authenticator := request.app.state.push_authenticator:
        await authenticator.authenticate(bearer)


def create_app(build: Build, connect: Connect = google_cloud) -> FastAPI:
    """The service that `build` makes, once the app has started; `app.state` then holds what it was made of."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.start()
        app.state.settings = settings = Settings()
        app.state.push_authenticator = push_authenticator(settings)
        async with connect(settings) as (app.state.bus, app.state.store):
            app.state.service = await build(settings, app.state.bus, app.state.store)
            app.state.queue = Queue(app.state.service)
            tune_garbage_collector()
            telemetry.log("ready", service=app.state.service.name)
            try:
                yield
            finally:
                app.state.service.stop()

    app = FastAPI(lifespan=lifespan, title="Retention", version="1")

    @app.post("/", status_code=204, include_in_schema=False, dependencies=[Depends(authenticate_push)])
    async def push(request: Request) -> Response:
        """One message by push. 2xx acknowledges; anything else, and Pub/Sub sends it again."""
        body = await read_body(request, MAX_PUSH_BYTES)
        try:
            pushed = Push.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(400, f"not a Pub/Sub push: {error_summary(error)}") from error
        subscription = pushed.subscription.rpartition("/")[2]
        service: Service = app.state.service
        if subscription not in service.subscriptions:
            raise HTTPException(404, f"{service.name} listens to {list(service.subscriptions)}, not {subscription!r}")
        envelope = pushed.message.envelope(service.subscriptions[subscription].topic)
        refusal = await app.state.queue.receive(subscription, envelope)
        if isinstance(refusal, OverloadedError):
            telemetry.counts["shed"] += 1
            return Response(status_code=429)
        return Response(status_code=503 if refusal else 204)

    @app.get("/healthz")
    async def healthz() -> dict[str, object]:
        """The process is alive; what it has counted since it started."""
        return {"status": "ok", "counts": telemetry.counts}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str]:
        """Models are loaded (or there would be no app), and bus and store answer."""
        checks = {"bus": app.state.bus.check, "store": app.state.store.check}
        found = await asyncio.gather(*(_checked(check) for check in checks.values()))
        answers = dict(zip(checks, found, strict=True))
        response.status_code = 200 if all(answer == "ok" for answer in found) else 503
        return {"service": app.state.service.name, "models": "ok", **answers}

    return app


async def read_body(request: Request, limit: int) -> bytes:
    """The body, or 413 once it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, f"the body is longer than {limit:,} bytes")
    return bytes(body)


async def _checked(check: Callable[[], Awaitable[None]]) -> str:
    try:
        await asyncio.wait_for(check(), timeout=5)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "ok"
