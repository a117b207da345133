"""The REST interface: publish events, read the decisions about them, and erase customers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from services.gateway.handler import load
from shared.bus import Bus, Envelope
from shared.errors import OverloadedError, UnavailableError
from shared.messages import CustomerEvent, Decision, Outcome, json_object
from shared.service import MAX_MESSAGE_BYTES, attributes, error_summary, opt_out_envelopes, utc_now
from shared.settings import Settings
from shared.store import Store, customer_documents
from shared.topology import INPUT_TOPICS, TOPICS
from shared.values import identifier
from shared.web import PubSubMessage, read_body

MAX_PUBLISH_BYTES = 14 * 1024 * 1024
"""Size limit of a publish request: the 10 MB that Pub/Sub takes, in base64."""
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.002, 0.25
"""Time between two reads of the store for a result: at first, and at most."""
JSON = "application/json"
Result = TypeVar("Result")

router = APIRouter(
    responses={
        401: {"description": "The API key or the identity token is missing or invalid."},
        403: {"description": "The caller is not allowed."},
        429: {"description": "Too many requests: try again after the seconds in the header `Retry-After`."},
        503: {"description": "The bus or the store is unavailable, so nothing was accepted: try again later."},
    }
)


def _event_schema() -> dict[str, Any]:
    """JSON schema of a customer event as a caller sends it."""
    schema = CustomerEvent.model_json_schema()
    properties = {name: field for name, field in schema["properties"].items() if name != "id"}
    nested = {"type": "object", "description": "Facts about the customer, as an alternative to the fields beside it."}
    return {"type": "object", "properties": {**properties, "customer_facts": nested}}


@router.post(
    "/retain",
    status_code=200,
    summary="Decide about a customer",
    responses={
        200: {"model": Decision, "description": "The decision."},
        202: {"description": "No decision yet: ask for it at the address in the header `Location`."},
        409: {"description": "The `event_id` is already that of another customer's event."},
        413: {"description": f"The event is longer than {MAX_MESSAGE_BYTES:,} bytes."},
        422: {"description": "The event is not valid; `detail` names the fields and says what is wrong."},
    },
    openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": _event_schema()}}}},
)
async def retain(request: Request) -> Response:
    """Publish a customer event, wait for its decision and return it.

    Send the facts about the customer as one object, or under `customer_facts`, where `customer_id` may be left out: the
    customer is then a new one. All facts are optional, and unknown fields are ignored.
    """
    event = await _event(request)
    await _bus(request).publish([Envelope(event.topic, event.data, attributes(event))])
    store: Store = request.app.state.store
    if decision := await _poll(request, lambda: load(store, event.event_id, utc_now())):
        if Decision.model_validate_json(decision).customer_id != event.customer_id:
            raise HTTPException(
                409,
                f"event_id: {event.event_id!r} is already the id of another customer's event. "
                "Use a new id for each event.",
            )
        return Response(decision, media_type=JSON)
    location = f"/decisions/{quote(event.event_id, safe='')}"
    pending = {"event_id": event.event_id, "customer_id": event.customer_id, "status": "pending", "decision": location}
    return Response(to_json(pending), 202, {"Location": location}, JSON)


@router.get(
    "/decisions/{event_id:path}",
    summary="Read a decision",
    responses={
        200: {"model": Decision, "description": "The decision."},
        404: {"description": "There is no decision about this event, or not yet."},
    },
)
async def decision(
    request: Request,
    event_id: Annotated[str, Path(description="Id of the event, percent-encoded.")],
) -> Response:
    """Return the decision about an event. It is available until `RETENTION_KEEP_DAYS` after it was made."""
    event_id = _id("event_id", event_id)
    if decision := await load(request.app.state.store, event_id, utc_now()):
        return Response(decision, media_type=JSON)
    raise HTTPException(
        404, f"event_id: there is no decision about {event_id!r}. If the event was published just now, ask again."
    )


@router.delete(
    "/customers/{customer_id:path}",
    summary="Erase a customer",
    responses={
        200: {"description": "The customer's data are erased, or nothing was stored."},
        202: {"description": "The erasure has begun: repeat the request to see whether it is done."},
    },
)
async def erase(
    request: Request,
    customer_id: Annotated[str, Path(description="Your id of the customer, percent-encoded.")],
) -> Response:
    """Erase all data that are stored about a customer. If they opted out, that stays known, by a hash of their id."""
    customer_id = _id("customer_id", customer_id)
    store: Store = request.app.state.store
    if not (documents := await customer_documents(store, customer_id)):
        return Response(to_json({"status": "nothing is stored of this customer"}), media_type=JSON)
    outcome = Outcome.parse(to_json({"customer_id": customer_id, "outcome": "erased"}), str(uuid4()))
    await _bus(request).publish([Envelope(outcome.topic, outcome.data)])

    async def is_erased() -> bool:
        return not await customer_documents(store, customer_id)

    if await _poll(request, is_erased):
        return Response(to_json({"status": "erased", "documents": len(documents)}), media_type=JSON)
    return Response(to_json({"status": "under way; ask again"}), 202, media_type=JSON)


class PublishRequest(BaseModel):
    """Messages to publish, as in Pub/Sub's REST interface."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[PubSubMessage] = Field(min_length=1, max_length=1000)
    """The messages, 1 to 1,000."""


def _publish_schema() -> dict[str, Any]:
    """JSON schema of a publish request, without references, which OpenAPI would look for elsewhere."""
    schema = PublishRequest.model_json_schema()
    schema["properties"]["messages"]["items"] = schema.pop("$defs")[PubSubMessage.__name__]
    return schema


@router.post(
    "/v1/projects/{project}/topics/{topic}:publish",
    summary="Publish events or outcomes",
    responses={
        200: {"description": "The ids of the published messages, as `messageIds`, in order."},
        400: {"description": "The request is not valid; nothing was published."},
        403: {"description": "Only services publish to this topic."},
        404: {"description": "There is no such project or topic."},
        413: {"description": f"The request is longer than {MAX_PUBLISH_BYTES:,} bytes."},
    },
    openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": _publish_schema()}}}},
)
async def publish(
    request: Request,
    project: Annotated[str, Path(description="Id of the project, `RETENTION_PROJECT`.")],
    topic: Annotated[str, Path(description=f"One of: {', '.join(INPUT_TOPICS)}.")],
) -> Response:
    """Publish messages with the request, the response and the form of errors of Pub/Sub's own REST interface."""
    settings: Settings = request.app.state.settings
    if project != settings.project:
        return _google_error(404, "NOT_FOUND", f"There is no project {project!r}. Publish to {settings.project!r}.")
    if topic not in TOPICS:
        return _google_error(
            404, "NOT_FOUND", f"There is no topic {topic!r}. Publish to one of: {', '.join(INPUT_TOPICS)}."
        )
    if topic not in INPUT_TOPICS:
        return _google_error(
            403,
            "PERMISSION_DENIED",
            f"Only services publish to {topic!r}. Publish to one of: {', '.join(INPUT_TOPICS)}.",
        )
    try:
        body = await read_body(request, MAX_PUBLISH_BYTES)
    except HTTPException as error:
        return _google_error(error.status_code, "INVALID_ARGUMENT", error.detail)
    try:
        try:
            envelopes = _envelopes(body, topic)
        except (HTTPException, ValidationError) as error:
            await _keep_opt_outs(request, body)
            detail = error_summary(error) if isinstance(error, ValidationError) else error.detail
            return _google_error(400, "INVALID_ARGUMENT", detail)
        message_ids = await _bus(request).publish(envelopes)
    except UnavailableError as error:
        return _google_error(503, "UNAVAILABLE", f"{error}. Nothing was published; try again later.")
    except OverloadedError as error:
        return _google_error(429, "RESOURCE_EXHAUSTED", f"{error}. Nothing was published.")
    return Response(to_json({"messageIds": message_ids}), media_type=JSON)


def _envelopes(body: bytes, topic: str) -> list[Envelope]:
    """The messages of a publish request. Raises ValidationError or HTTPException 400."""
    publish_request = PublishRequest.model_validate_json(body)
    envelopes = [message.envelope(topic)._replace(id="") for message in publish_request.messages]
    if any(len(envelope.data) > MAX_MESSAGE_BYTES for envelope in envelopes):
        raise HTTPException(400, f"data: too long. Send at most {MAX_MESSAGE_BYTES:,} bytes in a message.")
    if not all(envelope.data or envelope.attributes for envelope in envelopes):
        raise HTTPException(400, "messages: one has neither data nor attributes. Send the message as data, in base64.")
    return envelopes


async def _event(request: Request) -> CustomerEvent:
    """The event in the body of a request; without a customer id beside `customer_facts`, of a new customer.

    Raises HTTPException 413 or 422 where it is not valid; what it says about being contacted is published before.
    """
    body = await read_body(request, MAX_PUBLISH_BYTES)
    message_id = str(uuid4())
    try:
        if len(body) > MAX_MESSAGE_BYTES:
            raise HTTPException(413, f"the body is longer than {MAX_MESSAGE_BYTES:,} bytes. Send a shorter one.")
        fields = json_object(body)
        if fields.get("customer_facts") and fields.get("customer_id") is None:
            facts = fields["customer_facts"]
            if not (isinstance(facts, dict) and facts.get("customer_id")):
                fields["customer_id"] = f"anonymous-{message_id}"
        return CustomerEvent.parse(to_json(fields), message_id)
    except ValueError as error:
        await _keep_opt_outs(request, body)
        raise HTTPException(422, error_summary(error)) from error
    except HTTPException:
        await _keep_opt_outs(request, body)
        raise


async def _keep_opt_outs(request: Request, body: bytes) -> None:
    """Publish what customers say about being contacted in a request that is refused."""
    if envelopes := opt_out_envelopes(body, str(uuid4()), {}, "gateway"):
        await _bus(request).publish(envelopes)


def _id(name: str, value: str) -> str:
    """An id from a path. Raises HTTPException 422 where no message could have it."""
    try:
        return identifier(value)
    except ValueError as error:
        raise HTTPException(422, f"{name}: {error}") from error


async def _poll(request: Request, read: Callable[[], Awaitable[Result]]) -> Result | None:
    """The result of `read` as soon as it is true, or None after RETENTION_ANSWER_SECONDS.

    Another instance may do the work, so the result is read from the store. Where that fails, the work is only late:
    what was published is kept.
    """
    pause, deadline = MIN_POLL_SECONDS, time.monotonic() + request.app.state.settings.answer_seconds
    while time.monotonic() < deadline:
        with suppress(UnavailableError):
            if result := await read():
                return result
        await asyncio.sleep(pause)
        pause = min(MAX_POLL_SECONDS, pause * 1.5)
    return None


def _bus(request: Request) -> Bus:
    bus: Bus = request.app.state.bus
    return bus


def _google_error(code: int, status: str, message: str) -> Response:
    return Response(to_json({"error": {"code": code, "message": message, "status": status}}), code, {}, JSON)
