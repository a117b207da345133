"""Everything goes wrong at once, and what is promised holds: `make chaos`.

Google's emulators, every service its own process, and two of the policy behind one door. Events come repeated and in
any order, with poison among them; what the services say to each other is said again later; they are killed and started
again; one write in twenty is refused. When it is quiet, what was said, spent and kept is counted.

Exits with 1 when a promise broke. Writes reports/chaos.json.
"""

import argparse
import json
import signal
import socket
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

from tqdm import tqdm

from deploy import topology
from shared.messages import CustomerEvent, Decision, DraftedMessage, Outcome, PlannedContact, ScoredCustomer
from shared.topology import SUBSCRIPTIONS
from tests.support.cloud import Cloud
from tests.support.emulators import free_port, running_emulators
from tests.support.fault_injection import REFUSED
from tests.support.processes import environment_of, process, uvicorn

EVENTS_EACH = 6
"""Of a customer, about: more than the cap and the cooldown let through."""
CAP, SHARDS = 3, 4
AGAIN, SAID_AGAIN, ACCEPTED = 0.2, 0.1, 0.3
"""Share of events published again later, of what services say that is said again, and of offers that are accepted."""
IN_FLIGHT = 100
"""Events published and not decided: as many as keep everybody at work."""
QUIET, GIVEN_UP = 10.0, 150.0
"""Seconds without news after which all is over; and where decisions are missing, longer than Pub/Sub waits."""
PROCESSES = ("scorer", "policy", "policy-2", "messenger", "shield", "gateway")
WRITERS = ("policy", "shield", "gateway")
POISONED = "customer-events.scorer"
"""Where poison is found out."""
BETWEEN = (ScoredCustomer, PlannedContact, DraftedMessage)
"""What services say to each other."""


class Plan(NamedTuple):
    """What is to happen; all of it follows from the seed."""

    events: int
    poison: frozenset[bytes]
    arrivals: Sequence[bytes]
    kills: Sequence[tuple[int, str]]
    """After so many decisions, which process."""
    budget: float
    cooldown: float
    """Seconds."""

    @classmethod
    def drawn(cls, random: Random, events: int, kills: int) -> "Plan":
        customers = max(1, events // EVENTS_EACH)
        sent = [_event(random, n, f"c{n // 2 % customers}") for n in range(events)]
        poison = [f'{{"customer_id": "c", "tenure": "poison {n}"}}'.encode() for n in range(max(2, events // 100))]
        # Two of a customer come together, some of them twice, so that they meet in both of the policy.
        together = [
            [*sent[n : n + 2], *random.choices(sent[n : n + 2], k=random.randrange(2))] for n in range(0, events, 2)
        ]
        later = [[message] for message in (*random.choices(sent, k=round(AGAIN * events)), *poison)]
        arrivals = [m for some in random.sample([*together, *later], len(together) + len(later)) for m in some]
        killed = sorted((random.randrange(round(0.9 * events)), random.choice(PROCESSES)) for _ in range(kills))
        return cls(
            events,
            frozenset(poison),
            arrivals,
            killed,
            budget=events / 2,  # a third of what would be offered
            cooldown=max(5, events / 100),
        )

    @property
    def settings(self) -> dict[str, object]:
        return {
            "budget": self.budget,
            "budget_shards": SHARDS,
            "cooldown_days": self.cooldown / 86_400,
            "fatigue_cap": CAP,
            "policy": "baseline",
            "explore": 1,  # contacts nearly everybody whom it may
            "writer": "template",
        }


def _event(random: Random, n: int, customer_id: str) -> bytes:
    event = {
        "event_id": f"e{n}",
        "customer_id": customer_id,
        "name": random.choice(["Ada", "Zoë", None]),
        "tenure": random.randrange(72),
        "monthly_charges": round(random.uniform(18, 119), 2),
        "contract": random.choice(["Month-to-month", "One year", "Two year"]),
        "payment_method": random.choice(["Electronic check", "Mailed check"]),
    }
    return json.dumps(event).encode()


class Fleet:
    """The processes. Who dies is started again; both of the policy accept from one listening socket."""

    def __init__(self, project: str, logs: Path, seed: int, plan: Plan, stack: ExitStack) -> None:
        self._logs, self._seed, self._stack = logs, seed, stack
        self._environment = environment_of(project, plan.settings)
        self._ports = {name: free_port() for name in PROCESSES}
        self._door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._ports["policy"] = self._door.getsockname()[1]
        self._running: dict[str, Popen[bytes]] = {}
        self._starts = self.kills = 0
        topology.apply(project, lambda service: f"http://127.0.0.1:{self._ports[service]}/")
        self.tend()

    def tend(self) -> None:
        """Start who does not run: the killed, and who was refused a write on starting."""
        for name in PROCESSES:
            if name not in self._running or self._running[name].poll() is not None:
                self._start(name)

    def kill(self, name: str) -> None:
        self.kills += 1
        self._running[name].kill()
        self._running[name].wait()

    def refused(self) -> int:
        return sum(log.read_text(errors="replace").count(f'"{REFUSED}"') for log in self._logs.iterdir())

    def _start(self, name: str) -> None:
        self._starts += 1
        service = name.partition("-")[0]
        command = uvicorn(
            f"tests.support.fault_injection:{service}" if service in WRITERS else f"services.{service}.app:create"
        )
        door = self._door.fileno()
        command += ["--fd", str(door)] if service == "policy" else ["--port", str(self._ports[name])]
        environment = {**self._environment, "FAULTS": f"{self._seed}/{name}/{self._starts}"}
        log = self._logs / f"{self._starts:03}-{name}.log"
        self._running[name] = self._stack.enter_context(process(command, log, environment, [door]))


class Samples:
    """The ledger, read again and again while others write.

    Each shard is read whole, but a reading of all of them may be torn. Nobody declines here, so what is spent of a
    shard only grows, and the sum of a torn reading is at most what was spent when it ended.
    """

    def __init__(self) -> None:
        self.taken, self.spent, self.overdrawn = 0, 0, 0

    def take(self, shards: Sequence[dict[str, int]]) -> None:
        spent = [s["reserved"] + s["committed"] for s in shards]
        self.taken += 1
        self.spent = max(self.spent, sum(spent))
        self.overdrawn = max(
            [self.overdrawn, *(cents - s["allotment"] for cents, s in zip(spent, shards, strict=True))]
        )


@contextmanager
def sampling(cloud: Cloud) -> Iterator[Samples]:
    samples, over = Samples(), threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            samples.take(cloud.shards())

    with ThreadPoolExecutor(1) as pool:
        sampler = pool.submit(sample)
        try:
            yield samples
        finally:
            over.set()
        sampler.result()


class Heard:
    """What a user hears, and what they answer; and what services say to each other, some of it said again."""

    def __init__(self, cloud: Cloud, random: Random) -> None:
        self.decisions: dict[str, list[Decision]] = {}
        """Of each event, those that differ."""
        self.accepted = 0
        self.said_again = 0
        self._cloud, self._random = cloud, random
        self._between = {kind: cloud.subscribe(kind.topic) for kind in BETWEEN}
        self._known: set[bytes] = set()

    def listen(self) -> bool:
        """Whether there was news."""
        news = False
        for message in self._cloud.pull(self._cloud.mine):
            news = True
            decision = Decision.parse(message.data, message.message_id)
            copies = self.decisions.setdefault(decision.event_id, [])
            if not copies and decision.metadata.reserved and self._random.random() < ACCEPTED:
                self._accept(decision)
            if decision not in copies:
                copies.append(decision)
        for kind, subscription in self._between.items():
            said = {message.data for message in self._cloud.pull(subscription)} - self._known
            again = [data for data in sorted(said) if self._random.random() < SAID_AGAIN]
            self._known |= said
            self._cloud.publish(kind.topic, *again)
            self.said_again += len(again)
            news |= bool(said)
        return news

    def _accept(self, decision: Decision) -> None:
        outcome = {"event_id": decision.event_id, "customer_id": decision.customer_id, "outcome": "accepted"}
        self._cloud.publish(Outcome.topic, outcome, outcome)
        self.said_again += 1
        self.accepted += _cents(decision)


class Account(NamedTuple):
    """What reports/chaos.json says."""

    seed: int
    seconds: float
    events: int
    decisions: int
    lost: int
    doubled: int
    max_spend_over_budget: float
    cooldown_violations: int
    kills: int
    repeats: int
    refused_writes: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.chaos", description="Promises, under faults.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--kills", type=int, help="a hundredth of the events by default")
    parser.add_argument("--seconds", type=float, default=3_000, help="at most")
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    a = parser.parse_args()
    kills = a.events // 100 if a.kills is None else a.kills
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    with TemporaryDirectory() as folder, running_emulators(Path(folder)):
        account, promises = run(a.seed, a.events, kills, a.seconds, Path(folder))
    for promise, kept in promises.items():
        print(f"{'kept' if kept else 'BROKEN':>6}  {promise}")
    a.reports.mkdir(parents=True, exist_ok=True)
    report = a.reports / "chaos.json"
    report.write_text(json.dumps(account._asdict(), indent=2) + "\n")
    print(f"written to {report}")
    sys.exit(not all(promises.values()))


def run(seed: int, events: int, kills: int, seconds: float, folder: Path) -> tuple[Account, dict[str, bool]]:
    """The account, and which promises were kept. The emulators run already."""
    project, logs = f"chaos-{uuid4().hex[:8]}", folder / "services"
    logs.mkdir()
    random = Random(seed)
    plan = Plan.drawn(random, events, kills)
    started = time.monotonic()
    with ExitStack() as stack:
        fleet = Fleet(project, logs, seed, plan, stack)
        cloud = Cloud(project)
        stack.callback(cloud.close)
        heard = Heard(cloud, random)
        samples = stack.enter_context(sampling(cloud))
        _publish(plan, fleet, cloud, heard, started + seconds)
        letters = {s.name: found for s in SUBSCRIPTIONS if (found := {m.data for m in cloud.dead_letters(s.name)})}
        balance = cloud.balance()
    decided = [copy for copies in heard.decisions.values() for copy in copies]
    account = Account(
        seed=seed,
        seconds=round(time.monotonic() - started, 1),
        events=events,
        decisions=len(heard.decisions),
        lost=events - len(heard.decisions),
        doubled=sum(len(copies) > 1 for copies in heard.decisions.values()),
        max_spend_over_budget=max(samples.overdrawn, samples.spent - round(100 * plan.budget), 0) / 100,
        cooldown_violations=violations(decided, plan.cooldown),
        kills=fleet.kills,
        repeats=len(plan.arrivals) - len(plan.poison) - events + heard.said_again,
        refused_writes=fleet.refused(),
    )
    return account, _promises(account, plan, heard, samples, balance, letters)


def _publish(plan: Plan, fleet: Fleet, cloud: Cloud, heard: Heard, end: float) -> None:
    """Publish, kill and listen until it is quiet."""
    arrivals, kills, published = deque(plan.arrivals), deque(plan.kills), set[bytes]()
    latest = time.monotonic()
    with tqdm(total=plan.events, unit=" decisions", mininterval=1) as progress:
        while (now := time.monotonic()) < end:
            decided = len(heard.decisions)
            progress.update(decided - progress.n)
            while kills and decided >= kills[0][0]:
                fleet.kill(kills.popleft()[1])
            fleet.tend()
            some = []
            while arrivals and len(published) - decided < IN_FLIGHT:
                some.append(arrivals.popleft())
                published |= {some[-1]} - plan.poison
            cloud.publish(CustomerEvent.topic, *some)
            if heard.listen():
                latest = now
            else:
                time.sleep(0.2)
            complete = decided == plan.events and cloud.balance()["committed"] == heard.accepted
            if now - latest > (QUIET if complete else GIVEN_UP):
                break


def violations(decisions: Sequence[Decision], cooldown: float) -> int:
    """Contacts that came too soon after another of the same customer, or were one too many."""
    contacts = defaultdict(list)
    for decision in decisions:
        if decision.decision.contact:
            contacts[decision.customer_id].append(decision.times["decided_at"])
    found = 0
    for times in map(sorted, contacts.values()):
        gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(times)]
        found += sum(gap < cooldown for gap in gaps) + max(0, len(times) - CAP)
    return found


def _promises(
    account: Account,
    plan: Plan,
    heard: Heard,
    samples: Samples,
    balance: dict[str, int],
    letters: dict[str, set[bytes]],
) -> dict[str, bool]:
    """Each in words, and whether it was kept."""
    promised = sum(_cents(first) for first, *_ in heard.decisions.values())
    said = {
        "allotment": round(100 * plan.budget),
        "reserved": promised - heard.accepted,
        "committed": heard.accepted,
    }
    contacts = sum(d.decision.contact for copies in heard.decisions.values() for d in copies)
    faults = f"{account.repeats:,} repeats, {account.kills} kills and {account.refused_writes:,} refused writes"
    return {
        f"{account.decisions:,} of {account.events:,} events have a decision": account.lost == 0,
        f"{account.doubled} decisions have copies that differ, after {faults}": account.doubled == 0,
        f"at most {samples.spent / 100:,.2f} of {plan.budget:,.2f} was spent, in {samples.taken:,} looks": (
            samples.spent > 0 and account.max_spend_over_budget == 0
        ),
        f"the ledger, in cents, is {balance}; by the decisions it is {said}": balance == said,
        f"{account.cooldown_violations} of {contacts:,} contacts came too soon or too often": (
            account.cooldown_violations == 0
        ),
        f"{sum(map(len, letters.values()))} dead letters, all of them poison": letters == {POISONED: plan.poison},
    }


def _cents(decision: Decision) -> int:
    return round(100 * decision.metadata.reserved)


if __name__ == "__main__":
    main()
