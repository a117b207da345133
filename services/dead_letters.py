"""The command `dead-letters`: list messages that could not be handled, show one, or replay them."""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from services import local
from services.policy.app import stored_settings
from shared.bus import Envelope, LocalBus, original_message
from shared.errors import ConfigurationError, UnavailableError
from shared.inbox import from_document
from shared.settings import Settings
from shared.store import DEAD_LETTERS, SQLiteStore


class DeadLetterStore(Protocol):
    async def read_all(self) -> list[Envelope]: ...

    async def replay(self, letters: Sequence[Envelope]) -> None:
        """Publish the messages of these letters again, and delete the letters.

        All subscribers of the topic receive them, and recognise them by their id. A message that still cannot be
        handled becomes a new dead letter.
        """

    def close(self) -> None: ...


class LocalDeadLetters:
    """The dead letters of the local bus, in the SQLite file of the settings. They are replayed in this process."""

    def __init__(self, settings: Settings) -> None:
        if not settings.state.is_file():
            raise ConfigurationError(
                f"there is no state at {settings.state}; set RETENTION_STATE to the file that has it"
            )
        self._settings, self._store = settings, SQLiteStore(settings.state)

    async def read_all(self) -> list[Envelope]:
        documents = await self._store.when_unlocked(lambda: self._store.all(DEAD_LETTERS))
        return [from_document(letter_id, document) for letter_id, document in documents.items()]

    async def replay(self, letters: Sequence[Envelope]) -> None:
        bus, settings = LocalBus(), await stored_settings(self._settings, self._store)
        services = await local.pipeline(settings, bus, self._store)
        await local.gateway(settings, bus, self._store)
        await bus.publish([original_message(letter) for letter in letters])
        await bus.drain()
        keys = [(DEAD_LETTERS, letter.id) for letter in letters]
        await self._store.update(keys, lambda documents: (dict.fromkeys(documents), None))
        for service in services:
            service.stop()

    def close(self) -> None:
        self._store.close()


async def run(arguments: Namespace, settings: Settings) -> None:
    """Run the action that `arguments` name.

    Raises LookupError if there is no such letter, `ConfigurationError` or `UnavailableError` if the store fails.
    """
    with _open(settings, arguments.cloud) as store:
        letters = {letter.id: letter for letter in await store.read_all()}
        if unknown := [letter_id for letter_id in arguments.ids if letter_id not in letters]:
            raise LookupError(
                f"no dead letter {', '.join(unknown)}. Ids are printed by: python -m services dead-letters list"
            )
        selected = [letters[letter_id] for letter_id in arguments.ids] or list(letters.values())
        match arguments.action:
            case "list":
                print("\n".join(map(_as_line, selected)) or "no dead letters")
            case "show":
                print("\n".join(map(_as_json, selected)))
            case "replay":
                await store.replay(selected)
                print(f"{len(selected)} replayed. Messages that still cannot be handled become dead letters again.")


@contextmanager
def _open(settings: Settings, cloud: bool) -> Iterator[DeadLetterStore]:
    store: DeadLetterStore
    if cloud or settings.pubsub_emulator_host:
        from shared.gcp.pubsub import PubSubDeadLetters

        store = PubSubDeadLetters(settings.project)
    else:
        store = LocalDeadLetters(settings)
    try:
        yield store
    except UnavailableError as error:
        if host := settings.pubsub_emulator_host:
            raise UnavailableError(f"{error}. Is the emulator running at {host} (PUBSUB_EMULATOR_HOST)?") from error
        raise
    finally:
        store.close()


def _as_line(letter: Envelope) -> str:
    return f"{letter.id}  {letter.attributes['subscription']}  {letter.attributes['reason']!a}"


def _as_json(letter: Envelope) -> str:
    """A dead letter as JSON in ASCII, so that control characters in it do not reach the terminal."""
    message = original_message(letter)
    data = message.data.decode(errors="backslashreplace")
    return json.dumps({"id": letter.id, **letter.attributes, "topic": message.topic, "data": data}, indent=2)
