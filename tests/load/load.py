"""More and more at once, until no more comes out: `make load`.

The offered rate doubles until the answered one stops growing: first through Google's emulators and all services, where
what is too much waits in Pub/Sub; then at the door of the policy alone, which sheds what it cannot keep waiting, and
is asked again later, as Pub/Sub does. When the load falls off, all is answered and the latency is back.

Exits with 1 where something was lost or did not recover. Writes reports/load.json.
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
from tests.support.cloud import Cloud
from tests.support.emulators import free_port, running_emulators
from tests.support.processes import environment_of, process, services, uvicorn, wait

SETTINGS = {"budget": 1e9, "writer": "template", "holdout_share": 0}
FIRST = {"emulators": 4, "door": 64}
"""Events offered a second, at first and when the load has fallen off."""
GROWS = 1.2
"""Times the best rate so far: below it is no growth."""
PATIENCE = 300.0
"""Seconds until what is not answered is lost."""
BACKOFF, LONGEST = 0.1, 10.0
"""Seconds until who was refused asks again, twice as long each time."""


class Step(NamedTuple):
    """So many offered a second, and what came of it."""

    ramp: str
    offered: float
    answered: float
    """A second, from the first offer to the last answer."""
    p50_ms: float
    p99_ms: float
    shed: int
    lost: int


Offer = Callable[[int, float], Step]
"""So many a second, for so many seconds; it waits until all are answered."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.load", description="A ramp of load.")
    parser.add_argument("--step", type=float, default=5, help="seconds that each rate is offered")
    parser.add_argument("--steps", type=int, default=8, help="doublings at most")
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    a = parser.parse_args()
    with TemporaryDirectory() as folder, running_emulators(Path(folder)):
        steps = [*through_emulators(Path(folder), a.step, a.steps), *at_the_door(Path(folder), a.step, a.steps)]
    a.reports.mkdir(parents=True, exist_ok=True)
    report = a.reports / "load.json"
    report.write_text(json.dumps([step._asdict() for step in steps], indent=2) + "\n")
    print(f"written to {report}")
    ramps = [[step for step in steps if step.ramp == ramp] for ramp in FIRST]
    sys.exit(not (all(map(recovered, ramps)) and any(step.shed for step in ramps[1])))


def ramp(name: str, offer: Offer, seconds: float, doublings: int) -> list[Step]:
    """Twice as much each time, until the answered rate stops growing; and then as little as at first."""
    print(f"\n{name:>10}  offered/s  answered/s    p50 ms    p99 ms    shed  lost", flush=True)
    steps: list[Step] = []
    rates = [FIRST[name] * 2**n for n in range(doublings)]
    for rate in rates:
        best = max((step.answered for step in steps), default=0)
        steps.append(told(offer(rate, seconds)))
        if steps[-1].answered < GROWS * best:
            break
    return [*steps, told(offer(FIRST[name], seconds))]


def told(step: Step) -> Step:
    print(
        f"{'':10}  {step.offered:9,.0f}  {step.answered:10,.1f}  {step.p50_ms:8,.0f}  {step.p99_ms:8,.0f}"
        f"  {step.shed:6,}  {step.lost:4,}",
        flush=True,
    )
    return step


def recovered(steps: list[Step]) -> bool:
    """Nothing was lost, and at the end the latency is nearer to the first than to the worst."""
    first, *_, last = steps
    worst = max(step.p50_ms for step in steps)
    return not any(step.lost for step in steps) and last.p50_ms < (first.p50_ms + worst) / 2


def through_emulators(folder: Path, seconds: float, doublings: int) -> list[Step]:
    project, logs = f"load-{uuid4().hex[:8]}", folder / "services"
    logs.mkdir()
    with services(project, logs, **SETTINGS):
        cloud = Cloud(project)

        def offer(rate: int, seconds: float) -> Step:
            due = {f"{uuid4()}": n / rate for n in range(round(rate * seconds))}
            waiting, sent, waited = dict(due), dict[str, float](), list[float]()
            started = time.monotonic()
            while len(waited) < len(due) and (now := time.monotonic() - started) < PATIENCE:
                some = [name for name, at in waiting.items() if at <= now]
                cloud.publish(CustomerEvent.topic, *(_event(name) for name in some))
                sent |= {name: waiting.pop(name) for name in some}
                for message in cloud.pull(cloud.mine):
                    name = Decision.parse(message.data, message.message_id).event_id
                    if name in sent:
                        waited.append(time.monotonic() - started - sent.pop(name))
                time.sleep(0.02)
            return _step("emulators", rate, len(due), waited, time.monotonic() - started, shed=0)

        offer(FIRST["emulators"], seconds)  # the emulators get warm
        steps = ramp("emulators", offer, seconds, doublings)
        cloud.close()
    return steps


def at_the_door(folder: Path, seconds: float, doublings: int) -> list[Step]:
    project, port = f"load-{uuid4().hex[:8]}", free_port()
    with pubsub_v1.PublisherClient() as publisher:
        for topic in TOPICS:  # nobody is subscribed: the policy is alone
            publisher.create_topic(name=f"projects/{project}/topics/{topic}")
    command = [*uvicorn("services.policy.app:create"), "--port", str(port)]
    log = folder / "policy.log"
    with ExitStack() as stack:
        stack.enter_context(process(command, log, environment_of(project, SETTINGS)))
        wait(f"http://127.0.0.1:{port}/readyz", log)

        def offer(rate: int, seconds: float) -> Step:
            return asyncio.run(_pushed(port, rate, seconds))

        offer(FIRST["door"], seconds)
        return ramp("door", offer, seconds, doublings)


async def _pushed(port: int, rate: int, seconds: float) -> Step:
    """Each is pushed when it is due, whatever became of the others; who is refused comes again."""
    shed, waited = 0, list[float]()
    started = time.monotonic()

    async def push(due: float) -> None:
        nonlocal shed
        await asyncio.sleep(due)
        body, pause = _push(f"{uuid4()}"), BACKOFF
        while (status := await _post(port, body)) != 204 and time.monotonic() - started < PATIENCE:
            shed += status == 429
            await asyncio.sleep(pause)
            pause = min(LONGEST, 2 * pause)
        if status == 204:
            waited.append(time.monotonic() - started - due)

    offered = round(rate * seconds)
    await asyncio.gather(*(push(n / rate) for n in range(offered)))
    return _step("door", rate, offered, waited, time.monotonic() - started, shed)


async def _post(port: int, body: bytes) -> int:
    """The status of the answer; as little work as can be, so that the service is the slower one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


def _step(ramp: str, rate: float, offered: int, waited: list[float], seconds: float, shed: int) -> Step:
    cuts = quantiles([1000 * w for w in waited], n=100) if len(waited) > 1 else [0.0] * 99
    return Step(
        ramp, rate, round(len(waited) / seconds, 1), round(cuts[49], 1), round(cuts[98], 1), shed, offered - len(waited)
    )


def _event(name: str) -> dict[str, object]:
    return {"event_id": name, "customer_id": name, "name": "Sam", "tenure": 3, "monthly_charges": 80.0}


def _push(name: str) -> bytes:
    """One scored customer, as Pub/Sub pushes it."""
    message = {"data": b64encode(scored(name, name).data).decode(), "messageId": name}
    return to_json({"message": message, "subscription": f"projects/p/subscriptions/{ScoredCustomer.topic}.policy"})


if __name__ == "__main__":
    main()
