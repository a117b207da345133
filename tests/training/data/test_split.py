import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.split import SPLITS, split_by_group, split_by_label


def test_a_table_is_split_80_10_10_with_the_same_share_of_the_label() -> None:
    rows = pd.DataFrame({"position": range(1000), "churned": [i % 4 == 0 for i in range(1000)]})
    splits = split_by_label(rows, "churned")
    assert {name: len(split) for name, split in splits.items()} == {"train": 800, "valid": 100, "test": 100}
    assert {split["churned"].mean() for split in splits.values()} == {0.25}
    assert sorted(pd.concat(splits.values())["position"]) == list(range(1000))
    assert splits["test"].equals(split_by_label(rows, "churned")["test"])


def test_groups_fill_80_10_10_of_the_rows() -> None:
    groups = pd.Series([f"prompt {i // 3}" for i in range(3000)])
    splits = split_by_group(groups.to_frame("prompt"), groups)
    assert {name: len(split) for name, split in splits.items()} == {"train": 2400, "valid": 300, "test": 300}


def test_the_split_of_a_group_does_not_depend_on_its_position() -> None:
    groups = pd.Series([f"{i:04}" for i in range(1000)])
    assert 0.05 < split_by_group(groups.to_frame("p"), groups)["test"].index.to_series().lt(500).mean() < 0.95


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60))
def test_no_group_is_in_two_splits_and_no_row_is_lost(names: list[str]) -> None:
    groups = pd.Series(names)
    splits = split_by_group(groups.to_frame("prompt"), groups)
    assert tuple(splits) == SPLITS
    assert sorted(pd.concat(splits.values()).index) == list(range(len(names)))
    assert sum(split["prompt"].nunique() for split in splits.values()) == groups.nunique()
