"""Check the promises under every fault at once: `make chaos`.

Every service is its own process on Google's emulators, and the policy has two behind one socket. Events come repeated,
in any order and some malformed; messages between services are repeated; processes are killed and started again; one
write in twenty fails. When all is quiet, decisions, money and contacts are counted.

Exits with 1 if a promise broke. Writes reports/chaos.json.
"""

import argparse
import json
import signal
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
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

from tqdm import tqdm

from shared.messages import CustomerEvent, Decision, DraftedMessage, Outcome, PlannedContact, ScoredCustomer
from shared.topology import SUBSCRIPTIONS
from tests.load.chaos_faults import FATIGUE_CAP, Scenario, UnreliableProcesses
from tests.support.cloud import CloudClient
from tests.support.emulators import running_emulators

REPEATED_SHARE = 0.1
"""Share of the messages between services that are published again."""
ACCEPTED_SHARE = 0.3
"""Share of the offers that are accepted."""
MAX_UNDECIDED = 100
"""Events published and not yet decided: enough to occupy every process."""
QUIET_SECONDS = 10.0
"""Seconds without news after which a complete run ends."""
TIMEOUT_SECONDS = 150.0
"""The same where decisions are missing: longer than Pub/Sub's longest wait before it delivers again."""
POISONED_SUBSCRIPTION = "customer-events.scorer"
"""Whose dead letters the malformed events are."""
BETWEEN_SERVICES = (ScoredCustomer, PlannedContact, DraftedMessage)


class ChaosReport(NamedTuple):
    """The content of reports/chaos.json."""

    seed: int
    seconds: float
    events: int
    decisions: int
    lost: int
    doubled: int
    """Events with decisions that differ."""
    max_spend_over_budget: float
    cooldown_violations: int
    kills: int
    repeats: int
    refused_writes: int


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.chaos",
        description="Check the promises while messages are repeated, writes fail and processes are killed.",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of events and faults (default: 1)")
    parser.add_argument("--events", type=int, default=5_000, help="number of events (default: 5000)")
    parser.add_argument("--kills", type=int, help="number of processes to kill (default: a hundredth of the events)")
    parser.add_argument("--seconds", type=float, default=3_000, help="seconds at most (default: 3000)")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder of the report (default: reports)")
    args = parser.parse_args()
    kills = args.events // 100 if args.kills is None else args.kills
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    with TemporaryDirectory() as folder, running_emulators(Path(folder)):
        report, promises = run(args.seed, args.events, kills, args.seconds, Path(folder))
    for promise, is_kept in promises.items():
        print(f"{'kept' if is_kept else 'BROKEN':>6}  {promise}")
    args.reports.mkdir(parents=True, exist_ok=True)
    path = args.reports / "chaos.json"
    path.write_text(json.dumps(report._asdict(), indent=2) + "\n")
    print(f"written to {path}")
    sys.exit(not all(promises.values()))


def run(seed: int, events: int, kills: int, seconds: float, folder: Path) -> tuple[ChaosReport, dict[str, bool]]:
    """The report, and which promises were kept. The emulators run already."""
    project, logs = f"chaos-{uuid4().hex[:8]}", folder / "services"
    logs.mkdir()
    random = Random(seed)
    scenario = Scenario.draw(random, events, kills)
    start = time.monotonic()
    with ExitStack() as stack:
        processes = UnreliableProcesses(project, logs, seed, scenario, stack)
        cloud = CloudClient(project)
        stack.callback(cloud.close)
        user = User(cloud, random)
        ledger = stack.enter_context(sampled_ledger(cloud))
        _publish(scenario, processes, cloud, user, start + seconds)
        dead_letters = {s.name: {m.data for m in cloud.dead_letters(s.name)} for s in SUBSCRIPTIONS}
        balance = cloud.balance()
    decisions = [copy for copies in user.decisions.values() for copy in copies]
    report = ChaosReport(
        seed=seed,
        seconds=round(time.monotonic() - start, 1),
        events=events,
        decisions=len(user.decisions),
        lost=events - len(user.decisions),
        doubled=sum(len(copies) > 1 for copies in user.decisions.values()),
        max_spend_over_budget=max(ledger.overdrawn, ledger.spend - round(100 * scenario.budget), 0) / 100,
        cooldown_violations=contact_violations(decisions, scenario.cooldown),
        kills=processes.kills,
        repeats=len(scenario.arrivals) - len(scenario.poison) - events + user.repeats,
        refused_writes=processes.refused_writes(),
    )
    return report, _promises(report, scenario, user, ledger, balance, dead_letters)


class User:
    """Collects decisions, accepts some offers, and publishes some of the messages between services again."""

    def __init__(self, cloud: CloudClient, random: Random) -> None:
        self.decisions: dict[str, list[Decision]] = {}
        """By event, all decisions that differ."""
        self.accepted = 0
        """Cents."""
        self.repeats = 0
        self._cloud, self._random = cloud, random
        self._subscriptions = {kind: cloud.subscribe(kind.topic) for kind in BETWEEN_SERVICES}
        self._known: set[bytes] = set()

    def listen(self) -> bool:
        """Whether there was news."""
        news = False
        for message in self._cloud.pull(self._cloud.decisions_subscription):
            news = True
            decision = Decision.parse(message.data, message.message_id)
            copies = self.decisions.setdefault(decision.event_id, [])
            if not copies and decision.metadata.reserved and self._random.random() < ACCEPTED_SHARE:
                self._accept(decision)
            if decision not in copies:
                copies.append(decision)
        for kind, subscription in self._subscriptions.items():
            new = {message.data for message in self._cloud.pull(subscription)} - self._known
            repeated = [data for data in sorted(new) if self._random.random() < REPEATED_SHARE]
            self._known |= new
            self._cloud.publish(kind.topic, *repeated)
            self.repeats += len(repeated)
            news |= bool(new)
        return news

    def _accept(self, decision: Decision) -> None:
        outcome = {"event_id": decision.event_id, "customer_id": decision.customer_id, "outcome": "accepted"}
        self._cloud.publish(Outcome.topic, outcome, outcome)
        self.repeats += 1
        self.accepted += _cents(decision)


class LedgerSamples:
    """The ledger, read again and again while others write. Cents.

    Each shard is read whole, but not all shards at once. No offer is declined here, so the spend of a shard only grows,
    and the sum of a reading is at most the true spend when the reading ended.
    """

    def __init__(self) -> None:
        self.count, self.spend, self.overdrawn = 0, 0, 0

    def add(self, shards: Sequence[dict[str, int]]) -> None:
        spend = [shard["reserved"] + shard["committed"] for shard in shards]
        self.count += 1
        self.spend = max(self.spend, sum(spend))
        self.overdrawn = max(
            [self.overdrawn, *(cents - shard["allotment"] for cents, shard in zip(spend, shards, strict=True))]
        )


@contextmanager
def sampled_ledger(cloud: CloudClient) -> Iterator[LedgerSamples]:
    """Samples that a thread takes until the end of the context."""
    samples, stop = LedgerSamples(), threading.Event()

    def sample() -> None:
        while not stop.wait(0.05):
            samples.add(cloud.shards())

    with ThreadPoolExecutor(1) as pool:
        sampler = pool.submit(sample)
        try:
            yield samples
        finally:
            stop.set()
        sampler.result()


def _publish(scenario: Scenario, processes: UnreliableProcesses, cloud: CloudClient, user: User, end: float) -> None:
    """Publish, kill and listen until all is quiet, or the monotonic clock reaches `end`."""
    arrivals, kills, published = deque(scenario.arrivals), deque(scenario.kills), set[bytes]()
    last_news = time.monotonic()
    with tqdm(total=scenario.events, unit=" decisions", mininterval=1) as progress:
        while (now := time.monotonic()) < end:
            decided = len(user.decisions)
            progress.update(decided - progress.n)
            while kills and decided >= kills[0][0]:
                processes.kill(kills.popleft()[1])
            processes.restart_dead()
            batch = []
            while arrivals and len(published) - decided < MAX_UNDECIDED:
                batch.append(arrivals.popleft())
                published |= {batch[-1]} - scenario.poison
            cloud.publish(CustomerEvent.topic, *batch)
            if user.listen():
                last_news = now
            else:
                time.sleep(0.2)
            is_complete = decided == scenario.events and cloud.balance()["committed"] == user.accepted
            if now - last_news > (QUIET_SECONDS if is_complete else TIMEOUT_SECONDS):
                break


def contact_violations(decisions: Sequence[Decision], cooldown: float) -> int:
    """The number of contacts within the cooldown (seconds) after another of the customer, or above the fatigue cap."""
    contacts = defaultdict(list)
    for decision in decisions:
        if decision.decision.contact:
            contacts[decision.customer_id].append(decision.times["decided_at"])
    count = 0
    for times in map(sorted, contacts.values()):
        gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(times)]
        count += sum(gap < cooldown for gap in gaps) + max(0, len(times) - FATIGUE_CAP)
    return count


def _promises(
    report: ChaosReport,
    scenario: Scenario,
    user: User,
    ledger: LedgerSamples,
    balance: dict[str, int],
    dead_letters: dict[str, set[bytes]],
) -> dict[str, bool]:
    """Each promise in words, and whether it was kept."""
    reserved = sum(_cents(first) for first, *_ in user.decisions.values())
    expected_balance = {
        "allotment": round(100 * scenario.budget),
        "reserved": reserved - user.accepted,
        "committed": user.accepted,
    }
    contacts = sum(d.decision.contact for copies in user.decisions.values() for d in copies)
    faults = f"{report.repeats:,} repeats, {report.kills} kills and {report.refused_writes:,} failed writes"
    nonempty = {subscription: letters for subscription, letters in dead_letters.items() if letters}
    return {
        f"{report.decisions:,} of {report.events:,} events have a decision": report.lost == 0,
        f"{report.doubled} events have decisions that differ, after {faults}": report.doubled == 0,
        f"at most {ledger.spend / 100:,.2f} of {scenario.budget:,.2f} was spent, in {ledger.count:,} samples": (
            ledger.spend > 0 and report.max_spend_over_budget == 0
        ),
        f"the ledger, in cents, is {balance}; by the decisions it is {expected_balance}": balance == expected_balance,
        f"{report.cooldown_violations} of {contacts:,} contacts came too soon or too often": (
            report.cooldown_violations == 0
        ),
        f"{sum(map(len, nonempty.values()))} dead letters, all of them malformed events": (
            nonempty == {POISONED_SUBSCRIPTION: scenario.poison}
        ),
    }


def _cents(decision: Decision) -> int:
    return round(100 * decision.metadata.reserved)


if __name__ == "__main__":
    main()
