"""The command `replies`: list the unclear replies that wait for a person, show one, or settle it."""

import json
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from services import local
from services.policy.app import limits_of, retention_period
from services.policy.budget.ledger import Ledger
from services.policy.context import SettleContext
from services.policy.handlers.replies import waiting
from services.policy.handlers.settle import settle_reply
from services.policy.replies.reader import ReplyKind
from shared import web
from shared.errors import ConfigurationError
from shared.pseudonyms import Pseudonyms
from shared.service import utc_now
from shared.settings import Settings
from shared.store import PLANS, REPLIES, Document, Store

MAX_REPLIES = 10_000
"""Replies that are listed, those first that count as a stop soonest."""
DONE: Mapping[str, str] = {
    "stop": "The customer has opted out.",
    "resume": "The customer may be contacted again, unless they have asked for no more messages since.",
    "other": "The reply is about something else; it no longer pauses contact.",
}
"""What is printed after a reply was settled as of this kind."""


async def run(arguments: Namespace, settings: Settings) -> None:
    """Run the action that `arguments` name.

    Raises LookupError if there is no such reply, `ConfigurationError` or `UnavailableError` if the store fails, and
    `UnprocessableError` or `NotReadyError` if the offer cannot be accepted.
    """
    if not arguments.cloud and not settings.state.is_file():
        raise ConfigurationError(f"there is no state at {settings.state}; set RETENTION_STATE to the file that has it")
    async with (web.google_cloud if arguments.cloud else local.open_store)(settings) as (_, store):
        if arguments.action == "list":
            keys = await store.due(REPLIES, datetime.max.replace(tzinfo=UTC), MAX_REPLIES)
            replies = await store.read(keys)
            print(
                "\n".join(_as_line(name, reply) for (_, name), reply in replies.items() if reply) or "no replies wait"
            )
            return
        ledger = await Ledger.load(store)
        context = ledger and SettleContext(
            store,
            ledger,
            limits_of(settings),
            utc_now,
            await Pseudonyms.load(store, settings.hash_key),
            retention_period(settings),
        )
        if not context or not (reply := await waiting(arguments.id, context)):
            raise LookupError(
                f"no reply {arguments.id} waits. Those that do are printed by: python -m services replies list"
            )
        if arguments.action == "show":
            print(_as_json(arguments.id, reply))
            return
        await settle_reply(arguments.id, cast(ReplyKind, arguments.action), context=context)
        print(DONE.get(arguments.action) or await _acceptance(reply, store))


async def _acceptance(reply: Document, store: Store) -> str:
    """What came of a reply that accepts an offer."""
    key = PLANS, reply["event_id"]
    plan = (await store.read([key]))[key] if reply["event_id"] else None
    if plan and plan["status"] == "committed":
        return f"The offer of event {reply['event_id']} is accepted: {plan['cents'] / 100:.2f} of the budget is spent."
    return "No offer was open when the reply was written, so none is accepted; it no longer pauses contact."


def _as_line(reply_id: str, reply: Document) -> str:
    left = datetime.fromtimestamp(reply["due"], UTC) - utc_now()
    days = max(0, round(left / timedelta(days=1)))
    return f"{reply_id}  {reply['received_at']}  {reply['customer_id']!a}  {days} days left"


def _as_json(reply_id: str, reply: Document) -> str:
    """A reply as JSON in ASCII, so that control characters in it do not reach the terminal."""
    fields = {name: reply[name] for name in ("customer_id", "event_id", "at", "received_at", "text")}
    until = datetime.fromtimestamp(reply["due"], UTC).isoformat()
    return json.dumps({"id": reply_id, **fields, "counts_as_stop_at": until}, indent=2)
