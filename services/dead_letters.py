"""Work off the dead letters: say what failed and why, and send it again."""

import json
from argparse import Namespace
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from services import local
from shared.bus import Envelope, LocalBus, original_message
from shared.settings import Settings
from shared.store import DEAD_LETTERS, SQLiteStore


class DeadLetterStore(Protocol):
    async def kept(self) -> list[Envelope]: ...

    async def replay(self, letters: Sequence[Envelope]) -> None:
        """Publish their messages once more, and then keep those letters no longer.

        Every topic's subscribers hear it again, and know it by its id; what is still wrong becomes a new letter.
        """

    def close(self) -> None: ...


class LocalDeadLetters:
    """Those of one process, from its state. What is sent again goes through a system of this process's own."""

    def __init__(self, settings: Settings) -> None:
        if not settings.state.is_file():
            raise LookupError(f"there is no state at {settings.state}; RETENTION_STATE says where it is")
        self._settings, self._store = settings, SQLiteStore(settings.state)

    async def kept(self) -> list[Envelope]:
        letters = self._store.all(DEAD_LETTERS)
        return [Envelope(k["topic"], b64decode(k["data"]), k["attributes"], name) for name, k in letters.items()]

    async def replay(self, letters: Sequence[Envelope]) -> None:
        bus = LocalBus()
        services = await local.pipeline(self._settings, bus, self._store)
        await local.gateway(self._settings, bus, self._store)
        await bus.publish([original_message(letter) for letter in letters])
        await bus.drain()
        await self._store.update([(DEAD_LETTERS, letter.id) for letter in letters], lambda found: dict.fromkeys(found))
        for service in services:
            service.stop()

    def close(self) -> None:
        self._store.close()


async def run(arguments: Namespace, settings: Settings) -> None:
    """Raises LookupError where what is asked for is not there."""
    with _opened(settings, arguments.cloud) as letters:
        kept = {letter.id: letter for letter in await letters.kept()}
        if unknown := [name for name in arguments.ids if name not in kept]:
            raise LookupError(f"no dead letter {', '.join(unknown)}")
        chosen = [kept[name] for name in arguments.ids] or list(kept.values())
        match arguments.action:
            case "list":
                print("\n".join(map(_line, chosen)) or "no dead letters")
            case "show":
                print("\n".join(map(_shown, chosen)))
            case "replay":
                await letters.replay(chosen)
                print(f"{len(chosen)} sent again; what still cannot be handled comes back, with its new reason")


@contextmanager
def _opened(settings: Settings, cloud: bool) -> Iterator[DeadLetterStore]:
    letters: DeadLetterStore
    if cloud or settings.pubsub_emulator_host:
        from shared.gcp import PubSubDeadLetters

        letters = PubSubDeadLetters(settings.project)
    else:
        letters = LocalDeadLetters(settings)
    try:
        yield letters
    finally:
        letters.close()


def _line(letter: Envelope) -> str:
    return f"{letter.id}  {letter.attributes['subscription']}  {letter.attributes['reason']!a}"


def _shown(letter: Envelope) -> str:
    """As JSON in ASCII: a poison that speaks to terminals is not heard."""
    message = original_message(letter)
    data = message.data.decode(errors="backslashreplace")
    return json.dumps({"id": letter.id, **letter.attributes, "topic": message.topic, "data": data}, indent=2)
