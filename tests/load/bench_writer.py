"""Speed of the message writer that ships, on one thread. Alone: python -m tests.load.bench_writer"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice

from services.messenger.app import LOCAL_BATCH_SIZE
from services.messenger.artifact import Artifact
from services.messenger.handler import draft
from services.messenger.local import LocalWriter
from services.messenger.prompt import build_prompt
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from services.messenger.writers import Writer
from shared.artifacts import ARTIFACTS
from shared.messages import Brief, PlannedContact
from shared.settings import Settings
from tests.load.measuring import Figures
from tests.messenger.builders import BRIEFS, planned
from tests.support.clock import noon

NUM_MESSAGES = 300
CONCURRENCY = 64
ROUNDS = 5


def writing_rates() -> Figures:
    """Messages a second of processor time: one alone, one ranked as served, and 64 at once through the messenger."""
    artifact, candidates = Artifact.load(ARTIFACTS / "messenger"), Settings().writer_candidates
    single, served = LocalWriter(artifact, 1), LocalWriter(artifact, candidates)
    briefs = list(islice(cycle(BRIEFS), NUM_MESSAGES))
    alone = [_processor_seconds(partial(single.sample, [build_prompt(brief)])) for brief in briefs]
    ranked = [_processor_seconds(partial(_write, served, [brief])) for brief in briefs]
    contacts = [planned(brief, str(number)) for number, brief in enumerate(islice(cycle(BRIEFS), CONCURRENCY))]
    writer_only, messenger = [], []
    for _ in range(ROUNDS):
        writer_only.append(_processor_seconds(partial(_write, served, [contact.brief for contact in contacts])))
        messenger.append(_processor_seconds(partial(_draft, served, contacts)))
    return {
        "messages_per_second_alone": NUM_MESSAGES / sum(alone),
        f"messages_per_second_best_of_{candidates}": NUM_MESSAGES / sum(ranked),
        "messages_per_second_at_64": CONCURRENCY / min(messenger),
        "messenger_over_its_writer": min(messenger) / min(writer_only),
    }


def _write(writer: Writer, briefs: Sequence[Brief]) -> None:
    async def write_batches() -> None:
        for start in range(0, len(briefs), LOCAL_BATCH_SIZE):
            await writer.write(briefs[start : start + LOCAL_BATCH_SIZE])

    asyncio.run(write_batches())


def _draft(writer: Writer, contacts: Sequence[PlannedContact]) -> None:
    resilient = ResilientWriter(writer, 60, CircuitBreaker(), batch_size=LOCAL_BATCH_SIZE, max_concurrency=1)
    asyncio.run(draft(contacts, writer=resilient, clock=noon))


def _processor_seconds(call: Callable[[], object]) -> float:
    """Processor time, so that what else the machine does is not counted."""
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    print(*(f"{name:>40}  {value:,.2f}" for name, value in writing_rates().items()), sep="\n")
