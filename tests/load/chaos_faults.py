"""What happens in `make chaos`: events repeated, out of order and malformed, and processes that are killed."""

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from subprocess import Popen
from typing import NamedTuple

from deploy import topology
from tests.support.emulators import free_port
from tests.support.fault_injection import REFUSED_WRITE
from tests.support.processes import process, service_environment, uvicorn

EVENTS_PER_CUSTOMER = 6
"""About as many; more than fatigue cap and cooldown let through."""
FATIGUE_CAP, BUDGET_SHARDS = 3, 4
REPEATED_SHARE = 0.2
"""Share of events that are published again later."""
PROCESSES = ("scorer", "policy", "policy-2", "messenger", "shield", "gateway")
"""Two processes of the policy share a listening socket."""
STORE_WRITERS = ("policy", "shield", "gateway")
"""Services whose writes may fail."""


class Scenario(NamedTuple):
    """All that is to happen; it follows from the seed."""

    events: int
    poison: frozenset[bytes]
    """The malformed messages."""
    arrivals: Sequence[bytes]
    """Everything to publish, in order."""
    kills: Sequence[tuple[int, str]]
    """After how many decisions which process is killed, in order."""
    budget: float
    cooldown: float
    """Seconds."""

    @classmethod
    def draw(cls, random: Random, events: int, kills: int) -> "Scenario":
        customers = max(1, events // EVENTS_PER_CUSTOMER)
        sent = [_event(random, n, f"c{n // 2 % customers}") for n in range(events)]
        poison = [f'{{"customer_id": "c", "tenure": "poison {n}"}}'.encode() for n in range(max(2, events // 100))]
        # Two events of a customer come together, some of them twice, so that both processes of the policy get them.
        pairs = [
            [*sent[n : n + 2], *random.choices(sent[n : n + 2], k=random.randrange(2))] for n in range(0, events, 2)
        ]
        singles = [[message] for message in (*random.choices(sent, k=round(REPEATED_SHARE * events)), *poison)]
        groups = random.sample([*pairs, *singles], len(pairs) + len(singles))
        return cls(
            events,
            frozenset(poison),
            arrivals=[message for group in groups for message in group],
            kills=sorted((random.randrange(round(0.9 * events)), random.choice(PROCESSES)) for _ in range(kills)),
            budget=events / 2,  # a third of what would be offered
            cooldown=max(5, events / 100),
        )

    @property
    def settings(self) -> dict[str, object]:
        return {
            "budget": self.budget,
            "budget_shards": BUDGET_SHARDS,
            "cooldown_days": self.cooldown / 86_400,
            "fatigue_cap": FATIGUE_CAP,
            "policy": "baseline",
            "explore": 1,  # contacts nearly every customer that it may
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


class UnreliableProcesses:
    """The processes of all services. What dies is started again; writes fail (`tests.support.fault_injection`)."""

    def __init__(self, project: str, logs: Path, seed: int, scenario: Scenario, stack: ExitStack) -> None:
        self._logs, self._seed, self._stack = logs, seed, stack
        self._environment = service_environment(project, scenario.settings)
        self._ports = {name: free_port() for name in PROCESSES}
        self._policy_socket = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._ports["policy"] = self._policy_socket.getsockname()[1]
        self._running: dict[str, Popen[bytes]] = {}
        self._starts = self.kills = 0
        topology.apply(project, lambda service: f"http://127.0.0.1:{self._ports[service]}/")
        self.restart_dead()

    def restart_dead(self) -> None:
        """Start what does not run: a failed write on starting ends a process, too."""
        for name in PROCESSES:
            if name not in self._running or self._running[name].poll() is not None:
                self._start(name)

    def kill(self, name: str) -> None:
        self.kills += 1
        self._running[name].kill()
        self._running[name].wait()

    def refused_writes(self) -> int:
        return sum(log.read_text(errors="replace").count(f'"{REFUSED_WRITE}"') for log in self._logs.iterdir())

    def _start(self, name: str) -> None:
        self._starts += 1
        service = name.partition("-")[0]
        module = "tests.support.fault_injection" if service in STORE_WRITERS else f"services.{service}.app"
        command = uvicorn(f"{module}:{service if service in STORE_WRITERS else 'create'}")
        listener = self._policy_socket.fileno()
        command += ["--fd", str(listener)] if service == "policy" else ["--port", str(self._ports[name])]
        environment = {**self._environment, "FAULTS": f"{self._seed}/{name}/{self._starts}"}
        log = self._logs / f"{self._starts:03}-{name}.log"
        self._running[name] = self._stack.enter_context(process(command, log, environment, [listener]))
