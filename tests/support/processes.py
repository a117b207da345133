"""Each service as its own uvicorn process, pushed to by the Pub/Sub emulator."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from deploy import topology
from shared.topology import SUBSCRIPTIONS
from tests.support.emulators import free_port

SERVICES = tuple(dict.fromkeys(s.service for s in SUBSCRIPTIONS))
PATIENCE = 60


@contextlib.contextmanager
def services(project: str, logs: Path, **settings: object) -> Iterator[Mapping[str, str]]:
    """The services' addresses, once all are ready, with topics and subscriptions made."""
    urls = {name: f"http://127.0.0.1:{free_port()}" for name in SERVICES}
    environment = environment_of(project, settings)
    topology.apply(project, lambda service: f"{urls[service]}/")
    with contextlib.ExitStack() as stack:
        for name, url in urls.items():
            command = [*uvicorn(f"services.{name}.app:create"), "--port", url.rpartition(":")[2]]
            stack.enter_context(process(command, logs / f"{name}.log", environment))
        for name, url in urls.items():
            wait(f"{url}/readyz", logs / f"{name}.log")
        yield urls


def environment_of(project: str, settings: Mapping[str, object]) -> dict[str, str]:
    set_ = {f"RETENTION_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "RETENTION_PROJECT": project, **set_}


def uvicorn(factory: str) -> list[str]:
    """The command of a process that serves the app that `factory` makes; where it listens is to be added."""
    return [sys.executable, "-m", "uvicorn", "--factory", factory, "--no-access-log"]


@contextlib.contextmanager
def process(
    command: list[str], log: Path, environment: Mapping[str, str], files: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """`files` are open ones that it takes over, by their numbers."""
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=output, env=dict(environment), pass_fds=files)
    try:
        yield started
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(10)
        started.kill()
        started.wait()


def wait(url: str, log: Path) -> None:
    """Until `url` answers 200."""
    end = time.monotonic() + PATIENCE
    answer = "nothing"
    while time.monotonic() < end:
        try:
            got = httpx.get(url, timeout=10)
            if got.status_code == 200:
                return
            answer = got.text
        except httpx.TransportError as error:
            answer = repr(error)
        time.sleep(0.1)
    raise TimeoutError(f"{url} says {answer} after {PATIENCE} s; its log ends:\n{log.read_text()[-3000:]}")
