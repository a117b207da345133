import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.split import SPLITS, by_group, by_label


def test_a_table_is_split_80_10_10_with_the_labels_share_in_each() -> None:
    rows = pd.DataFrame({"position": range(1000), "churned": [i % 4 == 0 for i in range(1000)]})
    splits = by_label(rows, "churned")
    assert {name: len(split) for name, split in splits.items()} == {"train": 800, "valid": 100, "test": 100}
    assert {split["churned"].mean() for split in splits.values()} == {0.25}
    assert sorted(pd.concat(splits.values())["position"]) == list(range(1000))
    assert splits["test"].equals(by_label(rows, "churned")["test"])


def test_groups_fill_80_10_10_of_the_rows() -> None:
    groups = pd.Series([f"prompt {i // 3}" for i in range(3000)])
    splits = by_group(groups.to_frame("prompt"), groups)
    assert {name: len(split) for name, split in splits.items()} == {"train": 2400, "valid": 300, "test": 300}


def test_which_split_a_group_is_in_does_not_follow_from_its_place() -> None:
    groups = pd.Series([f"{i:04}" for i in range(1000)])
    assert 0.05 < by_group(groups.to_frame("p"), groups)["test"].index.to_series().lt(500).mean() < 0.95


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60))
def test_no_group_is_in_two_splits_and_no_row_is_lost(names) -> None:
    groups = pd.Series(names)
    splits = by_group(groups.to_frame("prompt"), groups)
    assert tuple(splits) == SPLITS
    assert sorted(pd.concat(splits.values()).index) == list(range(len(names)))
    assert sum(split["prompt"].nunique() for split in splits.values()) == groups.nunique()
