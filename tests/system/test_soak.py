"""A short `make soak`: what leaks with each event shows after a few."""

from pathlib import Path

from tests.soak import run


async def test_nothing_is_kept_in_memory_of_the_events_that_are_over(tmp_path: Path):
    figures = await run(seed=1, events=3_000, warm_up=1_500, seconds=300, folder=tmp_path)
    assert figures["lost"] == 0
    assert figures["outcomes"] > 0
    assert figures["dead_letters"] == figures["poison"] > 0
    assert figures["kept_per_event"] < 1
