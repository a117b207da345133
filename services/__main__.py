"""The whole system in one process.

python -m services                            serve the REST interface at http://localhost:8080
python -m services replay IN.jsonl OUT.jsonl  run a file of customer events through the system
python -m services erase CUSTOMER_ID          erase a customer's data
python -m services dead-letters list          list messages that could not be handled; also: show ID, replay [ID ...]
python -m services replies list               list unclear replies; also: show, stop, resume, keep or other, with an ID
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
from errno import EADDRINUSE
from pathlib import Path

import uvicorn

from services import dead_letters, local, replay, replies
from services.gateway.app import create
from services.policy.budget.ledger import Ledger
from services.policy.handlers.erase import erase
from services.replay_files import ReplayFileError, rejected_file
from shared import telemetry, web
from shared.errors import ConfigurationError, UnavailableError
from shared.pseudonyms import Pseudonyms
from shared.service import NotReadyError, UnprocessableError
from shared.settings import Settings
from shared.values import identifier


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    try:
        _run(parser, arguments, settings)
        sys.stdout.flush()
    except (ConfigurationError, UnavailableError, ReplayFileError) as error:
        parser.exit(2, f"{error}\n")
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.command == "replay":
        summary = asyncio.run(replay.run(arguments.events, arguments.decisions, settings))
        print("\n".join(f"{name.replace('_', ' '):>20}  {value}" for name, value in summary.items()))
        if not summary["decisions"] and summary["rejected"]:
            rejected = rejected_file(arguments.decisions)
            parser.exit(1, f"No event was decided: all {summary['rejected']:,} were rejected; {rejected} says why.\n")
        if not summary["decisions"]:
            print(f"{arguments.events} has no events: there was nothing to decide.")
    elif arguments.command == "erase":
        try:
            customer_id = identifier(arguments.customer_id)
        except ValueError as error:
            parser.exit(2, f"CUSTOMER_ID: {error}\n")
        documents = asyncio.run(_erase(customer_id, settings, arguments.cloud))
        print(f"Erased: {documents} documents." if documents else "Nothing is stored of this customer.")
    elif arguments.command == "dead-letters":
        telemetry.start(logging.ERROR)
        try:
            asyncio.run(dead_letters.run(arguments, settings))
        except LookupError as error:
            parser.exit(2, f"{error.args[0]}\n")
    elif arguments.command == "replies":
        telemetry.start(logging.ERROR)
        try:
            asyncio.run(replies.run(arguments, settings))
        except (LookupError, NotReadyError, UnprocessableError) as error:
            parser.exit(2, f"{error.args[0]}\n")
    else:
        _serve(settings)


class Server(uvicorn.Server):
    """Says where it serves, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        url = f"http://localhost:{self.config.port}"
        print(f"Serving at {url}, documentation at {url}/docs; press Ctrl-C to stop", flush=True)


def _serve(settings: Settings) -> None:
    """Serve until the process is stopped. The port is taken before the state is opened, and so before it is changed."""
    with listen(settings.port) as listener:
        logging.getLogger("uvicorn.error").addFilter(
            lambda record: record.msg != "Application startup failed. Exiting."
        )
        app = create(local.gateway, local.connect)
        Server(uvicorn.Config(app, port=settings.port, log_level="warning")).run([listener])


def listen(port: int) -> socket.socket:
    """A socket that listens at the port on this machine. Raises `ConfigurationError` where the port is taken."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, so that asyncio sets TCP_NODELAY: else 40 ms a request
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        problem = "is in use" if error.errno == EADDRINUSE else f"cannot be used ({error.strerror})"
        raise ConfigurationError(f"port {port} {problem}. Choose another: RETENTION_PORT=8081 make up") from error
    return listener


def _add_cloud(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cloud", action="store_true", help="in Firestore, project RETENTION_PROJECT, instead of in RETENTION_STATE"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services",
        description="The whole system in one process. Settings are environment variables; see docs/operate.md.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve the REST interface at http://localhost:8080 (the default)")

    description = "Run a file of customer events through the system, starting from an empty state."
    replay_parser = commands.add_parser(
        "replay", help="run a file of events through the system", description=description
    )
    replay_parser.add_argument(
        "events",
        type=Path,
        metavar="IN.jsonl",
        help="file of customer events, one JSON object per line, or an array; .gz is read too",
    )
    replay_parser.add_argument(
        "decisions",
        type=Path,
        metavar="OUT.jsonl",
        help="file to write the decisions to, one per line; rejected events go to OUT.rejected.jsonl, with the reason",
    )

    description = "Erase all data of a customer. If they opted out, that is still known, by a hash of their id."
    erase_parser = commands.add_parser("erase", help="erase all data of a customer", description=description)
    erase_parser.add_argument("customer_id", metavar="CUSTOMER_ID", help="your id of the customer")
    _add_cloud(erase_parser)

    description = (
        "Inspect and replay dead letters: messages that could not be handled. They are those of RETENTION_STATE, or of "
        "Pub/Sub where PUBSUB_EMULATOR_HOST or --cloud is set."
    )
    letters_parser = commands.add_parser(
        "dead-letters", help="list, show or replay messages that could not be handled", description=description
    )
    letters_parser.add_argument(
        "--cloud", action="store_true", help="those of Pub/Sub, project RETENTION_PROJECT, instead of RETENTION_STATE"
    )
    actions = letters_parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="print a line for each: id, subscription and reason").set_defaults(ids=[])
    actions.add_parser("show", help="print one as JSON").add_argument(
        "ids", nargs=1, metavar="ID", help="id of the dead letter"
    )
    actions.add_parser("replay", help="publish their messages again").add_argument(
        "ids", nargs="*", metavar="ID", help="ids of the dead letters; without any, all are replayed"
    )

    description = (
        "Read and settle unclear replies. Each pauses contact with its customer, and counts as a request to stop if "
        "nobody reads it in time."
    )
    replies_parser = commands.add_parser(
        "replies", help="list, show or settle replies that wait for a person", description=description
    )
    _add_cloud(replies_parser)
    actions = replies_parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="print a line for each: id, when it arrived, customer and days left")
    for action, text in {
        "show": "print one as JSON, with its text",
        "stop": "it asks for no more messages",
        "resume": "it asks for messages again",
        "keep": "it accepts the offer",
        "other": "it is about something else",
    }.items():
        actions.add_parser(action, help=text).add_argument("id", metavar="ID", help="id of the reply")
    return parser


async def _erase(customer_id: str, settings: Settings, cloud: bool) -> int:
    """Erase a customer; returns the number of documents deleted.

    Raises `HashKeyError` if the hash key is not the one that the store began with.
    """
    if not cloud and not settings.state.exists():
        print(f"There is no state at {settings.state}.", file=sys.stderr)
        return 0
    async with (web.google_cloud if cloud else local.open_store)(settings) as (_, store):
        ledger = await Ledger.load(store)
        pseudonyms = await Pseudonyms.load(store, settings.hash_key)
        return await erase(customer_id, store, ledger, pseudonyms) if ledger else 0


if __name__ == "__main__":
    main()
