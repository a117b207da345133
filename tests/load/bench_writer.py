"""How fast messages are written, for `make bench`: by the model that ships, on one thread."""

import asyncio
import time
from itertools import cycle, islice

from services.messenger.app import LOCAL_BATCH_SIZE
from services.messenger.artifact import Artifact
from services.messenger.handler import draft
from services.messenger.local import LocalWriter
from services.messenger.prompt import build_prompt
from services.messenger.resilience import CircuitBreaker, ResilientWriter
from shared.artifacts import ARTIFACTS
from shared.settings import Settings
from tests.messenger.builders import noon, planned
from tests.messenger.tiny_model import BRIEFS

ALONE, AT_ONCE, ROUNDS = 300, 64, 5


def writing() -> dict[str, float]:
    """Messages a second, one at a time and ranked as served; and what the messenger adds with 64 at once, in turn."""
    artifact, candidates = Artifact.load(ARTIFACTS / "messenger"), Settings().writer_candidates
    one, served = LocalWriter(artifact, 1), LocalWriter(artifact, candidates)
    prompts = [build_prompt(brief) for brief in BRIEFS]
    alone = [_seconds(lambda asked=asked: one.sample([asked])) for asked in islice(cycle(prompts), ALONE)]
    ranked = [
        _seconds(lambda brief=brief: asyncio.run(served.write([brief]))) for brief in islice(cycle(BRIEFS), ALONE)
    ]
    plans = [planned(brief, str(number)) for number, brief in enumerate(islice(cycle(BRIEFS), AT_ONCE))]
    bare, whole = [], []
    for _ in range(ROUNDS):
        bare.append(_seconds(lambda: asyncio.run(_bare(served, plans))))
        whole.append(_seconds(lambda: asyncio.run(_whole(served, plans))))
    return {
        "messages_per_second_alone": ALONE / sum(alone),
        f"messages_per_second_best_of_{candidates}": ALONE / sum(ranked),
        "messages_per_second_at_64": AT_ONCE / min(whole),
        "messenger_over_its_writer": min(whole) / min(bare),
    }


async def _whole(writer, plans) -> None:
    guarded = ResilientWriter(writer, 60, CircuitBreaker(), batch_size=LOCAL_BATCH_SIZE, max_concurrency=1)
    await draft(plans, writer=guarded, clock=noon)


async def _bare(writer, plans) -> None:
    for start in range(0, len(plans), LOCAL_BATCH_SIZE):
        await writer.write([plan.brief for plan in plans[start : start + LOCAL_BATCH_SIZE]])


def _seconds(do) -> float:
    """Of the processor: what else it does meanwhile is not counted."""
    started = time.process_time()
    do()
    return time.process_time() - started


if __name__ == "__main__":
    print(*(f"{name:>40}  {value:,.2f}" for name, value in writing().items()), sep="\n")
