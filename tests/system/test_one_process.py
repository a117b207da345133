"""The command line: the whole system in one process."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from services import local
from services.__main__ import listen, main
from services.gateway.app import create
from shared.bus import LocalBus
from shared.messages import Decision, Message
from shared.service import Service
from tests.support.emulators import free_port
from tests.support.processes import process, wait_until_ready

TELCO = Path(__file__).parents[3] / "shared" / "data"


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, timeout=120)


@pytest.mark.slow
def test_replay_writes_a_decision_for_each_event_and_reports_rejected_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[dict[str, Any]] = [
        {"event_id": f"e{n}", "customer_id": f"c{n}", "monthly_charges": 80.0, "tenure": 1} for n in range(700)
    ]
    lines = [json.dumps(e) for e in (*events, events[0])]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:10], "not JSON", "", *lines[10:]]) + "\n")
    monkeypatch.setattr(sys, "argv", ["services", "replay", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")])
    main()
    decisions = [Decision.parse(line.encode(), "") for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(d.event_id for d in decisions) == sorted(e["event_id"] for e in events)
    [rejected] = (tmp_path / "out.rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected)["line"] == "line 11"
    output = capsys.readouterr()
    for words in ("decisions  700", "rejected  1", "events per second", "p99 ms", "budget left"):
        assert words in output.out
    assert "702/702" in output.err  # the progress bar


def test_replay_of_an_empty_file_writes_no_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").touch()
    monkeypatch.setattr(sys, "argv", ["services", "replay", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")])
    main()
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert "decisions  0" in capsys.readouterr().out


def test_replay_names_a_file_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["services", "replay", "nowhere.jsonl", str(tmp_path / "out.jsonl")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "nowhere.jsonl is not a file" in capsys.readouterr().err


def test_replay_names_a_folder_that_does_not_exist_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").touch()
    out = tmp_path / "nowhere" / "out.jsonl"
    monkeypatch.setattr(sys, "argv", ["services", "replay", str(tmp_path / "in.jsonl"), str(out)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"{out.parent} is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POLICY", "magic", "RETENTION_POLICY: Input should be 'ppo', 'baseline' or 'index'"),
        ("ARTIFACTS", "/nowhere", "Train the model first"),
        ("TIME_ZONES", "Europe/Nowhere", "RETENTION_TIME_ZONES: 'Europe/Nowhere' is not a time zone"),
    ],
)
def test_an_invalid_setting_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    (tmp_path / "in.jsonl").touch()
    monkeypatch.setenv(f"RETENTION_{name}", value)
    monkeypatch.setattr(sys, "argv", ["services", "replay", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not TELCO.is_dir(), reason="the Telco file is not here")
def test_every_telco_customer_gets_a_decision(tmp_path: Path) -> None:
    assert run("training.data", "telco-events", tmp_path / "in.jsonl").returncode == 0
    replay = run("services", "replay", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert "decisions  7043" in replay.stdout
    assert "violations  0" in replay.stdout
    decisions = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len({d["customer_id"] for d in decisions}) == 7043


@pytest.mark.slow
def test_the_process_of_make_up_serves_and_keeps_its_state(tmp_path: Path) -> None:
    port, state = free_port(), tmp_path / "state.sqlite"
    environment = {**os.environ, "RETENTION_PORT": str(port), "RETENTION_STATE": str(state)}
    url = f"http://127.0.0.1:{port}"
    command, event = [sys.executable, "-m", "services"], {"customer_id": "c", "event_id": "e", "monthly_charges": 80.0}
    with process(command, tmp_path / "log", environment) as first:
        wait_until_ready(f"{url}/readyz", tmp_path / "log")
        decision = httpx.post(f"{url}/retain", json=event, timeout=30).json()
        first.terminate()
        assert first.wait(10) is not None
    with process(command, tmp_path / "log", environment):
        wait_until_ready(f"{url}/readyz", tmp_path / "log")
        assert httpx.get(f"{url}/decisions/e").json() == decision
        assert httpx.post(f"{url}/retain", json=event, timeout=30).json() == decision


def test_a_customer_is_erased_at_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETENTION_STATE", str(tmp_path / "state.sqlite"))

    async def retained() -> None:
        app = create(local.gateway, local.connect)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            assert (await client.post("/retain", json={"customer_id": "c 1"})).status_code == 200

    def erase() -> str:
        monkeypatch.setattr(sys, "argv", ["services", "erase", "c 1"])
        main()
        return capsys.readouterr().out

    assert erase() == "Nothing is stored of this customer.\n"
    asyncio.run(retained())
    assert erase().startswith("Erased: ")
    assert erase() == "Nothing is stored of this customer.\n"
    monkeypatch.setenv("RETENTION_HASH_KEY", "another key than before")
    with pytest.raises(SystemExit, match="2"):
        erase()
    assert "opt-outs would be lost" in capsys.readouterr().err


async def test_periodic_work_continues_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "TICK_INTERVAL_SECONDS", 0.001)
    ticks = asyncio.Queue[str]()

    async def fail() -> dict[str, int]:
        ticks.put_nowait("failing")
        raise OSError("not now")

    async def work() -> dict[str, int]:
        ticks.put_nowait("working")
        return {}

    async def ignore(decisions: Sequence[Decision]) -> list[list[Message]]:
        return [[] for _ in decisions]

    services = [Service("gateway", LocalBus(), {Decision: ignore}, tick=tick) for tick in (fail, work)]
    ticking = asyncio.create_task(local.tick_forever(services))
    assert [await asyncio.wait_for(ticks.get(), 10) for _ in range(4)] == ["failing", "working"] * 2
    ticking.cancel()


async def test_answers_are_sent_without_waiting_for_more() -> None:
    connected = asyncio.Queue[asyncio.StreamWriter]()
    async with await asyncio.start_server(
        lambda _, writer: connected.put_nowait(writer), sock=listen(port := free_port())
    ):
        _, client = await asyncio.open_connection("127.0.0.1", port)
        served = await connected.get()
        assert served.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        served.close()
        client.close()


@pytest.mark.slow
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("services", RETENTION_PORT=port, RETENTION_STATE=str(tmp_path / "state.sqlite"))
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr
    assert "RETENTION_PORT" in done.stderr
