"""Raise the load until the system is saturated, and check that it recovers: `make load`.

The offered rate doubles until the answered rate stops growing: first through the emulators and all services, where the
backlog waits in Pub/Sub; then by pushes to the policy alone, which refuses what it cannot keep waiting and gets it
again later, as from Pub/Sub. When the load falls, everything is answered and the latency recovers.

Exits with 1 if something was lost or did not recover. Writes reports/load.json.
"""

import argparse
import asyncio
import json
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

from google.cloud import pubsub_v1
from pydantic_core import to_json

from shared.messages import CustomerEvent, Decision, ScoredCustomer
from shared.topology import TOPICS
from tests.policy.builders import scored
from tests.support.cloud import CloudClient
from tests.support.emulators import free_port, running_emulators
from tests.support.processes import process, service_environment, services, uvicorn, wait_until_ready

SETTINGS = {"budget": 1e9, "writer": "template", "holdout_share": 0}
BASE_RATES = {"emulators": 4, "door": 64}
"""Events offered a second at first, and when the load has fallen; "door" is the policy's own endpoint."""
MIN_GROWTH = 1.2
"""Times the best answered rate so far: below it the rate has stopped growing."""
TIMEOUT_SECONDS = 300.0
"""After which an unanswered event is lost."""
MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.1, 10.0
"""Before a refused push is repeated; doubled each time."""


class Step(NamedTuple):
    """A rate that was offered for a while, and the answers: a row of reports/load.json."""

    ramp: str
    offered: float
    """Events a second."""
    answered: float
    """Events a second, from the first offer to the last answer."""
    p50_ms: float
    p99_ms: float
    shed: int
    """Pushes refused with 429."""
    lost: int


Offer = Callable[[int, float], Step]
"""Offers events at a rate a second for so many seconds, and waits until all are answered."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.load",
        description="Raise the load until the system is saturated, and check that it recovers.",
    )
    parser.add_argument("--step", type=float, default=5, help="seconds that each rate is offered (default: 5)")
    parser.add_argument("--steps", type=int, default=8, help="rates at most, each twice the one before (default: 8)")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of the report (default: reports)")
    args = parser.parse_args()
    with TemporaryDirectory() as name, running_emulators(folder := Path(name)):
        steps = [*emulator_ramp(folder, args.step, args.steps), *push_ramp(folder, args.step, args.steps)]
    args.reports.mkdir(parents=True, exist_ok=True)
    path = args.reports / "load.json"
    path.write_text(json.dumps([step._asdict() for step in steps], indent=2) + "\n")
    print(f"written to {path}")
    ramps = [[step for step in steps if step.ramp == ramp] for ramp in BASE_RATES]
    sys.exit(not (all(map(has_recovered, ramps)) and any(step.shed for step in ramps[1])))


def run_ramp(name: str, offer: Offer, seconds: float, max_steps: int) -> list[Step]:
    """Double the rate until the answered rate stops growing, then offer the base rate again."""
    print(f"\n{name:>10}  offered/s  answered/s    p50 ms    p99 ms    shed  lost", flush=True)
    steps: list[Step] = []
    for rate in (BASE_RATES[name] * 2**n for n in range(max_steps)):
        best = max((step.answered for step in steps), default=0)
        steps.append(shown(offer(rate, seconds)))
        if steps[-1].answered < MIN_GROWTH * best:
            break
    return [*steps, shown(offer(BASE_RATES[name], seconds))]


def shown(step: Step) -> Step:
    print(
        f"{'':10}  {step.offered:9,.0f}  {step.answered:10,.1f}  {step.p50_ms:8,.0f}  {step.p99_ms:8,.0f}"
        f"  {step.shed:6,}  {step.lost:4,}",
        flush=True,
    )
    return step


def has_recovered(steps: list[Step]) -> bool:
    """Whether nothing was lost, and the latency at the end is nearer to that at the start than to the worst."""
    first, *_, last = steps
    worst = max(step.p50_ms for step in steps)
    return not any(step.lost for step in steps) and last.p50_ms < (first.p50_ms + worst) / 2


def emulator_ramp(folder: Path, seconds: float, max_steps: int) -> list[Step]:
    project, logs = f"load-{uuid4().hex[:8]}", folder / "services"
    logs.mkdir()
    with services(project, logs, **SETTINGS):
        cloud = CloudClient(project)

        def offer(rate: int, seconds: float) -> Step:
            return _publish(cloud, rate, seconds)

        offer(BASE_RATES["emulators"], seconds)  # warms the emulators up
        steps = run_ramp("emulators", offer, seconds, max_steps)
        cloud.close()
    return steps


def _publish(cloud: CloudClient, rate: int, seconds: float) -> Step:
    """Publish each event when it is due, and wait for all decisions."""
    waiting = {f"{uuid4()}": n / rate for n in range(round(rate * seconds))}
    offered, sent, latencies = len(waiting), dict[str, float](), list[float]()
    start = time.monotonic()
    while len(latencies) < offered and (now := time.monotonic() - start) < TIMEOUT_SECONDS:
        due = [event_id for event_id, due_at in waiting.items() if due_at <= now]
        cloud.publish(CustomerEvent.topic, *(_event(event_id) for event_id in due))
        sent |= {event_id: waiting.pop(event_id) for event_id in due}
        for message in cloud.pull(cloud.decisions_subscription):
            event_id = Decision.parse(message.data, message.message_id).event_id
            if event_id in sent:
                latencies.append(time.monotonic() - start - sent.pop(event_id))
        time.sleep(0.02)
    return _step("emulators", rate, offered, latencies, time.monotonic() - start, shed=0)


def push_ramp(folder: Path, seconds: float, max_steps: int) -> list[Step]:
    project, port = f"load-{uuid4().hex[:8]}", free_port()
    with pubsub_v1.PublisherClient() as publisher:
        for topic in TOPICS:  # without subscriptions, so that the policy is alone
            publisher.create_topic(name=f"projects/{project}/topics/{topic}")
    command = [*uvicorn("services.policy.app:create"), "--port", str(port)]
    log = folder / "policy.log"
    with ExitStack() as stack:
        stack.enter_context(process(command, log, service_environment(project, SETTINGS)))
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", log)

        def offer(rate: int, seconds: float) -> Step:
            return asyncio.run(_push_all(port, rate, seconds))

        offer(BASE_RATES["door"], seconds)
        return run_ramp("door", offer, seconds, max_steps)


async def _push_all(port: int, rate: int, seconds: float) -> Step:
    """Push each event when it is due, however the others fare; a refused push is repeated."""
    shed, latencies = 0, list[float]()
    start = time.monotonic()

    async def push(due_at: float) -> None:
        nonlocal shed
        await asyncio.sleep(due_at)
        body, backoff = _push_body(f"{uuid4()}"), MIN_BACKOFF_SECONDS
        while (status := await _post(port, body)) != 204 and time.monotonic() - start < TIMEOUT_SECONDS:
            shed += status == 429
            await asyncio.sleep(backoff)
            backoff = min(MAX_BACKOFF_SECONDS, 2 * backoff)
        if status == 204:
            latencies.append(time.monotonic() - start - due_at)

    offered = round(rate * seconds)
    await asyncio.gather(*(push(n / rate) for n in range(offered)))
    return _step("door", rate, offered, latencies, time.monotonic() - start, shed)


async def _post(port: int, body: bytes) -> int:
    """The status of the answer. As little work as possible, so that the service is the slower side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


def _step(ramp: str, rate: float, offered: int, latencies: list[float], seconds: float, shed: int) -> Step:
    """`latencies` and `seconds` in seconds."""
    cuts = quantiles([1000 * latency for latency in latencies], n=100) if len(latencies) > 1 else [0.0] * 99
    answered, lost = round(len(latencies) / seconds, 1), offered - len(latencies)
    return Step(ramp, rate, answered, round(cuts[49], 1), round(cuts[98], 1), shed, lost)


def _event(event_id: str) -> dict[str, object]:
    return {"event_id": event_id, "customer_id": event_id, "name": "Sam", "tenure": 3, "monthly_charges": 80.0}


def _push_body(event_id: str) -> bytes:
    """A scored customer, as Pub/Sub pushes it."""
    message = {"data": b64encode(scored(event_id, event_id).data).decode(), "messageId": event_id}
    return to_json({"message": message, "subscription": f"projects/p/subscriptions/{ScoredCustomer.topic}.policy"})


if __name__ == "__main__":
    main()
