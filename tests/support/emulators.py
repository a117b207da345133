"""Google's own Pub/Sub and Firestore emulators, started for the tests and stopped after them.

They are processes of `gcloud` where the Cloud SDK and Java are installed, and containers where only Docker is.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

IMAGE = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
COMMANDS = {"PUBSUB_EMULATOR_HOST": "beta emulators pubsub", "FIRESTORE_EMULATOR_HOST": "emulators firestore"}
TIMEOUT_SECONDS = 60

Hosts = Mapping[str, str]
"""The emulators' hosts, by the environment variable that Google's clients read."""


class EmulatorsNotFoundError(RuntimeError):
    """Nothing that could run the emulators is installed."""


@contextlib.contextmanager
def start_emulators(logs: Path) -> Iterator[Hosts]:
    """Start both emulators, unless the environment names running ones. They are not ready yet.

    Raises EmulatorsNotFoundError.
    """
    with contextlib.ExitStack() as stack:
        if all(name in os.environ for name in COMMANDS):
            hosts = {name: os.environ[name] for name in COMMANDS}
        elif shutil.which("gcloud") and shutil.which("java"):
            hosts = {name: stack.enter_context(_process(command, logs)) for name, command in COMMANDS.items()}
        elif _docker_runs():
            hosts = {name: stack.enter_context(_container(command)) for name, command in COMMANDS.items()}
        else:
            raise EmulatorsNotFoundError("Google's emulators need the Cloud SDK with Java, or Docker")
        yield hosts


@contextlib.contextmanager
def running_emulators(logs: Path, hosts: Hosts | None = None) -> Iterator[Hosts]:
    """The emulators at `hosts`, or new ones, once they answer. This process's environment names them meanwhile.

    Raises EmulatorsNotFoundError; TimeoutError.
    """
    with contextlib.ExitStack() as stack:
        hosts = hosts or stack.enter_context(start_emulators(logs))
        for host in hosts.values():
            _wait(host, logs)
        before = {name: os.environ.get(name) for name in hosts}
        os.environ.update(hosts)
        try:
            yield hosts
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(command: str, logs: Path) -> Iterator[str]:
    host = f"127.0.0.1:{free_port()}"
    log = logs / f"{command.replace(' ', '-')}.log"
    with log.open("wb") as output:
        arguments = ["gcloud", *command.split(), "start", f"--host-port={host}", "--project=retention-test", "--quiet"]
        process = subprocess.Popen(arguments, stdout=output, stderr=output, start_new_session=True)
    try:
        yield host
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _container(command: str) -> Iterator[str]:
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    testcontainers_config.ryuk_disabled = True  # the tests stop what they start; one image fewer to pull
    host = f"127.0.0.1:{free_port()}"
    start = f"gcloud {command} start --host-port={host} --project=retention-test --quiet"
    # On the host's network, because the emulator pushes to services that run there.
    with DockerContainer(IMAGE).with_command(start).with_kwargs(network_mode="host"):
        yield host


def _docker_runs() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def _wait(host: str, logs: Path) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}", timeout=1):
            return
        time.sleep(0.1)
    tails = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs.glob("*.log"))
    raise TimeoutError(f"no emulator answers at {host} after {TIMEOUT_SECONDS} s\n{tails}")
