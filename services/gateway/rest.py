"""The REST front: publish events, read what was decided about them, and forget customers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json, to_json

from services.gateway.handler import recall
from shared.bus import Bus, Envelope
from shared.messages import CustomerEvent, Decision, Outcome
from shared.service import MAX_BYTES, attributes, error_summary, utc_now
from shared.settings import Settings
from shared.store import Store, customer_documents
from shared.topology import INPUTS, TOPICS
from shared.web import PubSubMessage, read_body

MAX_PUBLISH = 14 * 1024 * 1024
"""Bytes of a request: Pub/Sub takes 10 MB, and base64 makes it a third more."""
Found = TypeVar("Found")
FIRST_LOOK, LAST_LOOK = 0.002, 0.25
"""Seconds between two looks for what is to come: at first, and at most."""

router = APIRouter()


@router.post("/retain", status_code=200, openapi_extra={"requestBody": {"content": {"application/json": {"schema": {
    "type": "object", "description": "a customer event, or {\"customer_facts\": {…}}"}}}}})  # fmt: skip
async def retain(request: Request) -> Response:
    """Publish one customer event and answer with its decision, or with 202 and the place to ask for it."""
    event = _event(await read_body(request, MAX_BYTES))
    await _bus(request).publish([Envelope(event.topic, event.data, attributes(event))])
    store: Store = request.app.state.store
    if decision := await _until(request, lambda: recall(store, event.event_id, utc_now())):
        if Decision.model_validate_json(decision).customer_id != event.customer_id:
            raise HTTPException(409, f"Event {event.event_id!r} is of another customer: an event has an id of its own.")
        return Response(decision, media_type="application/json")
    place = f"/decisions/{quote(event.event_id, safe='')}"
    pending = {"event_id": event.event_id, "customer_id": event.customer_id, "status": "pending", "decision": place}
    return Response(to_json(pending), 202, {"Location": place}, "application/json")


@router.get("/decisions/{event_id:path}")
async def decision(request: Request, event_id: Annotated[str, Path(min_length=1, max_length=128)]) -> Response:
    if found := await recall(request.app.state.store, event_id, utc_now()):
        return Response(found, media_type="application/json")
    raise HTTPException(404, f"No decision about event {event_id!r}. If it was published just now, ask again.")


@router.delete("/customers/{customer_id:path}")
async def erase(request: Request, customer_id: Annotated[str, Path(min_length=1, max_length=128)]) -> Response:
    """Forget a customer: all that is stored of them goes. That they opted out is known still, by a hash."""
    store: Store = request.app.state.store
    if not (found := await customer_documents(store, customer_id)):
        return Response(to_json({"status": "nothing is stored of this customer"}), media_type="application/json")
    outcome = Outcome.parse(to_json({"customer_id": customer_id, "outcome": "erased"}), str(uuid4()))
    await _bus(request).publish([Envelope(outcome.topic, outcome.data)])

    async def gone() -> bool:
        return not await customer_documents(store, customer_id)

    if await _until(request, gone):
        return Response(to_json({"status": "erased", "documents": len(found)}), media_type="application/json")
    return Response(to_json({"status": "under way; ask again"}), 202, media_type="application/json")


class Publish(BaseModel):
    messages: list[PubSubMessage] = Field(min_length=1, max_length=1000)


@router.post("/v1/projects/{project}/topics/{topic}:publish")
async def publish(request: Request, project: str, topic: str) -> Response:
    """Publish as to Pub/Sub itself: the same request, the same answer, the same form of errors."""
    settings: Settings = request.app.state.settings
    if project != settings.project:
        return _google_error(404, "NOT_FOUND", f"This is project {settings.project!r}, not {project!r}.")
    if topic not in TOPICS:
        return _google_error(404, "NOT_FOUND", f"There is no topic {topic!r}. Publish to one of: {', '.join(INPUTS)}.")
    if topic not in INPUTS:
        return _google_error(
            403, "PERMISSION_DENIED", f"{topic!r} is the services' own. Publish to {', '.join(INPUTS)}."
        )
    try:
        sent = Publish.model_validate_json(await read_body(request, MAX_PUBLISH))
        envelopes = [message.envelope(topic)._replace(id="") for message in sent.messages]
        if any(len(envelope.data) > MAX_BYTES for envelope in envelopes):
            raise HTTPException(400, f"a message has at most {MAX_BYTES:,} bytes")
    except ValidationError as error:
        return _google_error(400, "INVALID_ARGUMENT", error_summary(error))
    except HTTPException as error:
        return _google_error(error.status_code, "INVALID_ARGUMENT", error.detail)
    return Response(to_json({"messageIds": await _bus(request).publish(envelopes)}), media_type="application/json")


def _event(body: bytes) -> CustomerEvent:
    """The event in a request, flat or under `customer_facts`. Who has no id is nobody we have met before."""
    try:
        given = from_json(body, allow_inf_nan=False)
        if not isinstance(given, dict):
            raise ValueError(f"the body is a JSON object, this is a {type(given).__name__}")
        facts: Any = given.get("customer_facts", {})
        if not isinstance(facts, dict):
            raise ValueError("customer_facts: a JSON object of facts about the customer")
        message_id = str(uuid4())
        flat = {"customer_id": f"anonymous-{message_id}", **given, **facts} if facts else given
        return CustomerEvent.parse(to_json(flat), message_id)
    except ValueError as error:
        raise HTTPException(422, error_summary(error)) from error


async def _until(request: Request, look: Callable[[], Awaitable[Found]]) -> Found:
    """What `look` finds, if it comes in time. Any instance may do the work, so it is looked for in the store."""
    pause, end = FIRST_LOOK, time.monotonic() + request.app.state.settings.answer_seconds
    while not (found := await look()) and time.monotonic() < end:
        await asyncio.sleep(pause)
        pause = min(LAST_LOOK, pause * 1.5)
    return found


def _bus(request: Request) -> Bus:
    bus: Bus = request.app.state.bus
    return bus


def _google_error(code: int, status: str, message: str) -> Response:
    return Response(
        to_json({"error": {"code": code, "message": message, "status": status}}), code, {}, "application/json"
    )
