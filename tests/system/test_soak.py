"""A short `make soak`."""

from pathlib import Path

import pytest

from tests.load.soak import run


@pytest.mark.slow
async def test_no_message_stays_in_memory_when_its_event_is_over(tmp_path: Path) -> None:
    figures = await run(seed=1, events=3_000, warm_up=1_500, seconds=300, folder=tmp_path)
    assert figures["lost"] == 0
    assert figures["outcomes"] > 0
    assert figures["dead_letters"] == figures["poison"] > 0
    assert figures["kept_per_event"] < 10, (
        "a decision is dozens of blocks; caches, which have an end, are filling still"
    )
