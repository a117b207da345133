from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from services.messenger.prompt import build_prompt
from training.data.dialogue import Turn
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.data import demonstrations, dialogues, load_preferences, rubric_preferences, transcript
from training.messenger.evaluation import rubric


def test_demonstrations_continue_their_prompts_and_repeat_with_their_seed() -> None:
    examples = demonstrations(50, seed=3)

    assert examples == demonstrations(50, seed=3)
    assert examples != demonstrations(50, seed=4)
    assert all(example.prompt.endswith("Message:") and example.text.startswith(" ") for example in examples)


@pytest.mark.slow
def test_labels_agree_with_the_rubric_as_often_as_the_accuracy_ceiling() -> None:
    rng = np.random.default_rng(0)
    briefs = sample_briefs(rng, 2_000)
    first, second = ([write_message(brief, rng, 0.3) for brief in briefs] for _ in range(2))
    preferences = rubric_preferences(briefs, [first, second], seed=1)
    agrees = [
        rubric.score(brief, pair.chosen.strip()) >= rubric.score(brief, pair.rejected.strip())
        for brief, pair in zip(briefs, preferences.pairs, strict=True)
    ]

    assert preferences.accuracy_ceiling is not None
    assert np.mean(agrees) == pytest.approx(preferences.accuracy_ceiling, abs=0.03)
    assert 0.75 < preferences.accuracy_ceiling < 0.85
    assert [pair.prompt for pair in preferences.pairs] == [build_prompt(brief) for brief in briefs]


def test_all_pairs_of_a_prompt_s_completions_are_labelled_and_adjacent() -> None:
    rng = np.random.default_rng(0)
    briefs = sample_briefs(rng, 20)
    completions = [[write_message(brief, rng, 0.3) for brief in briefs] for _ in range(4)]
    pairs = rubric_preferences(briefs, completions, seed=1).pairs

    assert [pair.prompt for pair in pairs] == [build_prompt(brief) for brief in briefs for _ in range(6)]
    for row, texts in enumerate(zip(*completions, strict=True)):
        pairs_of_prompt = [{pair.chosen.strip(), pair.rejected.strip()} for pair in pairs[6 * row : 6 * row + 6]]
        assert pairs_of_prompt == [{a, b} for a, b in combinations(texts, 2)]


def test_a_transcript_has_a_line_per_turn_and_ends_at_the_assistant_s() -> None:
    turns: list[Turn] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
    ]

    assert transcript(turns) == "Human: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"


def test_human_preferences_come_from_the_catalogue(data: Path, tmp_path: Path) -> None:
    preferences = load_preferences("hh-rlhf", data, tmp_path, "test")

    assert len(preferences.pairs) > 400
    assert preferences.accuracy_ceiling is None
    assert all(pair.prompt.endswith("\n\nAssistant:") and pair.chosen != pair.rejected for pair in preferences.pairs)


def test_dialogues_come_from_the_catalogue_with_the_best_answer_to_each_prompt(data: Path, tmp_path: Path) -> None:
    examples = dialogues(data, tmp_path)

    assert len(examples) > 200
    assert len({example.prompt for example in examples}) > 0.9 * len(examples)
