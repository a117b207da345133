"""Each service as its own uvicorn process, which the Pub/Sub emulator pushes to."""

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
TIMEOUT_SECONDS = 60


@contextlib.contextmanager
def services(project: str, logs: Path, **settings: object) -> Iterator[Mapping[str, str]]:
    """The services' URLs, once all are ready and have their topics and subscriptions."""
    urls = {name: f"http://127.0.0.1:{free_port()}" for name in SERVICES}
    environment = service_environment(project, settings)
    topology.apply(project, lambda service: f"{urls[service]}/")
    with contextlib.ExitStack() as stack:
        for name, url in urls.items():
            command = [*uvicorn(f"services.{name}.app:create"), "--port", url.rpartition(":")[2]]
            stack.enter_context(process(command, logs / f"{name}.log", environment))
        for name, url in urls.items():
            wait_until_ready(f"{url}/readyz", logs / f"{name}.log")
        yield urls


def service_environment(project: str, settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with the project and settings of a service."""
    variables = {f"RETENTION_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "RETENTION_PROJECT": project, **variables}


def uvicorn(factory: str) -> list[str]:
    """The command that serves the app of `factory`; append where it listens."""
    return [sys.executable, "-m", "uvicorn", "--factory", factory, "--no-access-log"]


@contextlib.contextmanager
def process(
    command: list[str], log: Path, environment: Mapping[str, str], files: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that inherits the open file descriptors `files`, and is terminated at the end."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, env=dict(environment), pass_fds=files)
    try:
        yield child
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        child.wait()


def wait_until_ready(url: str, log: Path, timeout: float = TIMEOUT_SECONDS) -> None:
    """Wait until `url` answers 200. Raises TimeoutError with the end of the log."""
    end = time.monotonic() + timeout
    answer = "nothing"
    while time.monotonic() < end:
        try:
            response = httpx.get(url, timeout=10)
            if response.status_code == 200:
                return
            answer = response.text
        except httpx.TransportError as error:
            answer = repr(error)
        time.sleep(0.1)
    raise TimeoutError(f"{url} answers {answer} after {timeout} s; its log ends:\n{log.read_text()[-3000:]}")


def without_make(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what `make test ARGS=…` hands down to the make that a test starts."""
    handed_down = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ARGS")
    return {name: value for name, value in environment.items() if name not in handed_down}
