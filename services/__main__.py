"""The whole system in one process.

python -m services                            serve it at http://localhost:8080
python -m services replay IN.jsonl OUT.jsonl  run a file of customer events through it
"""

import argparse
import asyncio
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from services import local, replay
from services.gateway.app import create
from shared.artifacts import ArtifactError
from shared.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services", description="The whole system in one process.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="REST at http://localhost:8080 (the default)")
    again = commands.add_parser("replay", help="run a file of customer events through the pipeline")
    again.add_argument("events", type=Path, metavar="IN.jsonl", help="customer events, one JSON object a line")
    again.add_argument("decisions", type=Path, metavar="OUT.jsonl", help="where the decisions go, one a line")
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
    else:
        port = settings.port
        print(f"http://localhost:{port} (its interface: http://localhost:{port}/docs); Ctrl-C ends it", flush=True)
        uvicorn.run(create(local.gateway, local.connect), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
