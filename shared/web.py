"""A service as a web application that Pub/Sub pushes to, with health checks. Independent of Google's clients."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from shared import identity, telemetry
from shared.bus import Bus, Envelope
from shared.errors import ConfigurationError, OverloadedError, UnavailableError
from shared.service import Queue, Service, error_summary, tune_garbage_collector
from shared.settings import Settings
from shared.store import Store
from shared.values import decode_base64

MAX_PUSH_BYTES = 15 * 1024 * 1024
"""Size limit of a push request: Pub/Sub's largest message, 10 MB, in base64."""
RETRY_AFTER = {"Retry-After": "5"}
"""Header of an answer that asks to try again: the seconds until then."""
CHECK_TIMEOUT_SECONDS = 5
"""Time that `/readyz` waits for the bus and for the store."""

Build = Callable[[Settings, Bus, Store], Awaitable[Service]]
"""Assembles a service from the settings, the bus and the store."""
Connect = Callable[[Settings], AbstractAsyncContextManager[tuple[Bus, Store]]]
"""Opens the bus and the store that the settings name, and closes them at the end."""


class PubSubMessage(BaseModel):
    """A message in the format of Pub/Sub's REST interface, in the spellings that protobuf's JSON allows."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    data: str | None = None
    """The message, a JSON object, encoded in base64: standard or URL-safe, with or without padding."""
    attributes: dict[str, str] | None = None
    """Names and values that subscribers can filter by."""
    message_id: str | None = Field(
        default=None, validation_alias=AliasChoices("messageId", "message_id"), serialization_alias="messageId"
    )
    """Set by Pub/Sub; ignored when you publish."""

    def envelope(self, topic: str) -> Envelope:
        """The message as the bus carries it. Raises HTTPException 400 where `data` is not base64."""
        try:
            data = decode_base64(self.data or "")
        except ValueError as error:
            raise HTTPException(400, f"data: not base64 ({error}). Encode the message in base64.") from error
        return Envelope(topic, data, self.attributes or {}, self.message_id or "")


class PushRequest(BaseModel):
    """The body of a request by which Pub/Sub delivers a message."""

    message: PubSubMessage
    subscription: str


def google_cloud(settings: Settings) -> AbstractAsyncContextManager[tuple[Bus, Store]]:
    """Pub/Sub and Firestore, or their emulators where Google's environment variables name them."""
    from shared import gcp

    return gcp.connect(settings)


def push_authenticator(settings: Settings) -> identity.TokenAuthenticator | None:
    if settings.push_account:
        return identity.token_authenticator(settings, settings.push_audience, [settings.push_account])
    telemetry.log(
        "no push account is set: anybody who can reach this service can push to it; set RETENTION_PUSH_ACCOUNT"
    )
    return None


async def authenticate_push(request: Request, bearer: identity.Bearer) -> None:
    """Raise HTTPException 401, 403 or 503 unless the caller is the push account, or none is set."""
    if authenticator := request.app.state.push_authenticator:
        await authenticator.authenticate(bearer)


def create_app(build: Build, connect: Connect = google_cloud) -> FastAPI:
    """The application of the service that `build` makes. While it runs, `app.state` holds its parts.

    Ends the program where settings are wrong.
    """
    Settings.from_environment()

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
    app.add_middleware(_StartupErrors)
    app.add_exception_handler(UnavailableError, partial(_try_again, 503))
    app.add_exception_handler(OverloadedError, partial(_try_again, 429))

    @app.post("/", status_code=204, include_in_schema=False, dependencies=[Depends(authenticate_push)])
    async def push(request: Request) -> Response:
        """Receive one message from Pub/Sub. A 2xx status acknowledges it; with any other, Pub/Sub delivers it again."""
        body = await read_body(request, MAX_PUSH_BYTES)
        try:
            push_request = PushRequest.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(400, f"not a Pub/Sub push: {error_summary(error)}") from error
        subscription = push_request.subscription.rpartition("/")[2]
        service: Service = app.state.service
        if subscription not in service.subscriptions:
            expected = ", ".join(service.subscriptions)
            raise HTTPException(404, f"subscription: {subscription!r} is not one of {service.name}'s: {expected}")
        envelope = push_request.message.envelope(service.subscriptions[subscription].topic)
        refusal = await app.state.queue.receive(subscription, envelope)
        if isinstance(refusal, OverloadedError):
            telemetry.counts["shed"] += 1
            return Response(status_code=429)
        return Response(status_code=503 if refusal else 204)

    @app.get("/healthz", summary="Liveness")
    async def healthz() -> dict[str, object]:
        """Whether the process runs, and its counters since the start."""
        return {"status": "ok", "counts": telemetry.counts}

    @app.get("/readyz", summary="Readiness")
    async def readyz(response: Response) -> dict[str, str]:
        """Whether the models are loaded and the bus and the store can be reached; otherwise 503."""
        checks = {"bus": app.state.bus.check, "store": app.state.store.check}
        results = await asyncio.gather(*(_run_check(check) for check in checks.values()))
        response.status_code = 200 if all(result == "ok" for result in results) else 503
        return {"service": app.state.service.name, "models": "ok", **dict(zip(checks, results, strict=True))}

    return app


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request. Raises HTTPException 413 where it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413, f"the body is longer than {limit:,} bytes. Send a shorter one.")
    return bytes(body)


class _StartupErrors:
    """Reports an error that is for people, which keeps the application from starting, without its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_text(message: ASGIMessage) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(
                error, ConfigurationError | UnavailableError
            ):
                message = {**message, "message": str(error)}
            await send(message)

        await self._app(scope, receive, send_text if scope["type"] == "lifespan" else send)


async def _try_again(status: int, request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"{error}. Try again later."}, status, RETRY_AFTER)


async def _run_check(check: Callable[[], Awaitable[None]]) -> str:
    try:
        await asyncio.wait_for(check(), timeout=CHECK_TIMEOUT_SECONDS)
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_SECONDS} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "ok"
