from itertools import islice

import numpy as np
import pytest
import torch

from services.messenger.prompt import SLOTS
from training.messenger import base
from training.messenger.base import Args, documents, rate, rows, tokenizer

TEXTS = list(islice(documents(seed=1, flawed=0.5), 300))


def test_no_text_is_unknown_and_every_one_comes_back() -> None:
    words = tokenizer(TEXTS, 512)
    for text in (*TEXTS[:50], "Zoë 李雷 🎉 <b>", "a  b\n\tc"):
        ids = words(text, add_special_tokens=False)["input_ids"]
        assert words.decode(ids) == text
        assert words.unk_token_id not in ids


def test_a_slot_is_one_token_and_cannot_be_misspelt() -> None:
    words = tokenizer(TEXTS, 512)

    assert len(words) == 512
    for slot in SLOTS:
        assert len(words(slot, add_special_tokens=False)["input_ids"]) == 1
        assert words.tokenize(f" {slot},") == ["Ġ", slot, ","]


def test_the_end_of_text_also_begins_one_where_opt_has_it() -> None:
    words = tokenizer(TEXTS, 512)

    assert (words.pad_token_id, words.eos_token_id) == (1, 2)
    assert words("Hi")["input_ids"][0] == 2


def test_half_of_the_documents_have_a_prompt() -> None:
    assert np.mean([" Message: " in text for text in TEXTS]) == pytest.approx(0.5, abs=0.1)


def test_rows_are_one_stream_of_documents() -> None:
    args = Args(batch=4, length=32)
    words = tokenizer(TEXTS, 512)
    first, second = islice(rows(args, words), 2)
    stream = torch.cat([first.flatten(), second.flatten()])
    expected = [
        token for text in islice(documents(args.seed + 1, args.flawed), 20) for token in words(text)["input_ids"]
    ]

    assert first.shape == (4, 32)
    assert stream.tolist() == expected[: 2 * 4 * 32]


def test_the_rate_warms_up_and_falls_to_a_tenth() -> None:
    assert rate(0.0) == pytest.approx(0.01)
    assert rate(0.0999) == pytest.approx(1.0, abs=0.02)
    assert rate(1.0) == pytest.approx(0.1)
    assert all(rate(a) >= rate(a + 0.01) for a in np.arange(0.1, 0.98, 0.01))


def test_it_learns_and_the_same_seed_learns_the_same() -> None:
    args = Args(vocabulary=512, hidden=32, layers=1, heads=2, steps=30, batch=8, length=32, learning_rate=1e-2)
    (one, points), (other, _) = (base.train(args) for _ in range(2))

    assert points[-1].loss < points[0].loss - 1
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


def test_the_model_has_three_and_a_half_million_numbers() -> None:
    assert sum(weight.numel() for weight in base.model(Args()).parameters()) == pytest.approx(3.5e6, rel=0.01)
