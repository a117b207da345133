"""Google's own Pub/Sub and Firestore emulators, started for the tests and stopped after them.

With the Cloud SDK they are processes of `gcloud`; with only Docker, containers; with neither, the tests that need
them are skipped, unless RETENTION_REQUIRE_EMULATORS is set.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

IMAGE = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
COMMANDS = {"PUBSUB_EMULATOR_HOST": "beta emulators pubsub", "FIRESTORE_EMULATOR_HOST": "emulators firestore"}
PATIENCE = 60


@contextlib.contextmanager
def emulators(logs: Path) -> Iterator[dict[str, str]]:
    """Google's variables and the hosts they name, while the emulators run. They are in this environment too."""
    with contextlib.ExitStack() as stack:
        if all(name in os.environ for name in COMMANDS):
            hosts = {name: os.environ[name] for name in COMMANDS}
        elif shutil.which("gcloud") and shutil.which("java"):
            hosts = {name: stack.enter_context(_process(command, logs)) for name, command in COMMANDS.items()}
        elif _docker():
            hosts = {name: stack.enter_context(_container(command)) for name, command in COMMANDS.items()}
        elif os.environ.get("RETENTION_REQUIRE_EMULATORS"):
            pytest.fail("emulators are required, and here is neither the Cloud SDK with Java nor Docker")
        else:
            pytest.skip("needs the Cloud SDK with Java, or Docker, for Google's emulators")
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
        line = ["gcloud", *command.split(), "start", f"--host-port={host}", "--project=retention-test", "--quiet"]
        process = subprocess.Popen(line, stdout=output, stderr=output, start_new_session=True)
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
    # On the host's network, since it pushes to services that run there.
    with DockerContainer(IMAGE).with_command(start).with_kwargs(network_mode="host"):
        yield host


def _docker() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def _wait(host: str, logs: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{host}", timeout=1):
            return
        time.sleep(0.1)
    said = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs.glob("*.log"))
    pytest.fail(f"no emulator at {host} after {PATIENCE} s\n{said}")
