from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from services.messenger.prompt import build_prompt
from training.messenger.corpus.corpus import briefs, write
from training.messenger.data import demonstrations, dialogues, labelled, preferences, transcript
from training.messenger.evaluation import rubric


def test_demonstrations_follow_their_prompts_and_repeat_with_their_seed() -> None:
    some = demonstrations(50, seed=3)

    assert some == demonstrations(50, seed=3)
    assert some != demonstrations(50, seed=4)
    assert all(each.prompt.endswith("Message:") and each.text.startswith(" ") for each in some)


def test_labels_follow_the_rubric_as_often_as_its_ceiling_says() -> None:
    rng = np.random.default_rng(0)
    about = briefs(rng, 2_000)
    first, second = ([write(brief, rng, 0.3) for brief in about] for _ in range(2))
    found = labelled(about, [first, second], seed=1)
    better = [
        rubric.score(brief, pair.chosen.strip()) >= rubric.score(brief, pair.rejected.strip())
        for brief, pair in zip(about, found.pairs, strict=True)
    ]

    assert found.ceiling is not None
    assert np.mean(better) == pytest.approx(found.ceiling, abs=0.03)
    assert 0.75 < found.ceiling < 0.85
    assert [pair.prompt for pair in found.pairs] == [build_prompt(brief) for brief in about]


def test_all_pairs_of_a_brief_s_texts_are_labelled_side_by_side() -> None:
    rng = np.random.default_rng(0)
    about = briefs(rng, 20)
    answers = [[write(brief, rng, 0.3) for brief in about] for _ in range(4)]
    pairs = labelled(about, answers, seed=1).pairs

    assert [pair.prompt for pair in pairs] == [build_prompt(brief) for brief in about for _ in range(6)]
    for row, texts in enumerate(zip(*answers, strict=True)):
        said = [{pair.chosen.strip(), pair.rejected.strip()} for pair in pairs[6 * row : 6 * row + 6]]
        assert said == [{a, b} for a, b in combinations(texts, 2)]


def test_a_conversation_is_written_out_turn_by_turn() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
    ]

    assert transcript(turns) == "Human: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"


def test_people_s_preferences_come_from_the_catalogue(data: Path, tmp_path: Path) -> None:
    found = preferences("hh-rlhf", data, tmp_path, "test")

    assert len(found.pairs) > 400
    assert found.ceiling is None
    assert all(pair.prompt.endswith("\n\nAssistant:") and pair.chosen != pair.rejected for pair in found.pairs)


def test_dialogues_come_from_the_catalogue_the_best_answer_to_each(data: Path, tmp_path: Path) -> None:
    found = dialogues(data, tmp_path)

    assert len(found) > 200
    assert len({each.prompt for each in found}) > 0.9 * len(found)
