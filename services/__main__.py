"""The whole system in one process.

python -m services                            serve it at http://localhost:8080
python -m services replay IN.jsonl OUT.jsonl  run a file of customer events through it
python -m services erase CUSTOMER_ID          forget a customer
python -m services dead-letters list          what could not be handled, and why; also: show ID, replay [ID...]
"""

import argparse
import asyncio
import logging
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from services import dead_letters, local, replay
from services.gateway.app import create
from services.policy.budget.ledger import Ledger
from services.policy.handlers.erase import erase
from shared import telemetry, web
from shared.artifacts import ArtifactError
from shared.pseudonyms import HashKeyError, Pseudonyms
from shared.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services", description="The whole system in one process.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="REST at http://localhost:8080 (the default)")
    again = commands.add_parser("replay", help="run a file of customer events through the pipeline")
    again.add_argument("events", type=Path, metavar="IN.jsonl", help="customer events, one JSON object a line")
    again.add_argument("decisions", type=Path, metavar="OUT.jsonl", help="where the decisions go, one a line")
    forget = commands.add_parser("erase", help="forget a customer: all that is stored of them, but that they opted out")
    forget.add_argument("customer_id", metavar="CUSTOMER_ID")
    forget.add_argument("--cloud", action="store_true", help="in Firestore, instead of on this machine")
    _dead_letters(
        commands.add_parser("dead-letters", help="what could not be handled: list it, show it, send it again")
    )
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = (f"RETENTION_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        parser.error("; ".join(wrong))
    if arguments.command == "replay":
        if not arguments.events.is_file():
            parser.error(f"{arguments.events} is not a file")
        try:
            summary = asyncio.run(replay.run(arguments.events, arguments.decisions, settings))
        except ArtifactError as error:
            parser.error(str(error))
        print("\n".join(f"{name.replace('_', ' '):>20}  {value}" for name, value in summary.items()))
    elif arguments.command == "erase":
        try:
            documents = asyncio.run(_erase(arguments.customer_id, settings, arguments.cloud))
        except HashKeyError as error:
            parser.error(str(error))
        print(f"Erased: {documents} documents." if documents else "Nothing is stored of this customer.")
    elif arguments.command == "dead-letters":
        telemetry.start(logging.ERROR)
        try:
            asyncio.run(dead_letters.run(arguments, settings))
        except (ArtifactError, LookupError) as error:
            parser.error(str(error))
    else:
        port = settings.port
        print(f"http://localhost:{port} (its interface: http://localhost:{port}/docs); Ctrl-C ends it", flush=True)
        uvicorn.run(create(local.gateway, local.connect), host="127.0.0.1", port=port, log_level="warning")


async def _erase(customer_id: str, settings: Settings, cloud: bool) -> int:
    async with (web.google_cloud if cloud else local.stored)(settings) as (_, store):
        ledger = await Ledger.load(store)
        pseudonyms = await Pseudonyms.open(store, settings.hash_key)
        return await erase(customer_id, store, ledger, pseudonyms) if ledger else 0


def _dead_letters(parser: argparse.ArgumentParser) -> None:
    """Those of RETENTION_STATE; of Pub/Sub where PUBSUB_EMULATOR_HOST is set, or with --cloud."""
    parser.add_argument("--cloud", action="store_true", help="those in Pub/Sub, project RETENTION_PROJECT")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="a line each: id, subscription, reason").set_defaults(ids=[])
    actions.add_parser("show", help="all of one").add_argument("ids", nargs=1, metavar="ID")
    actions.add_parser("replay", help="send them again, all or some").add_argument("ids", nargs="*", metavar="ID")


if __name__ == "__main__":
    main()
