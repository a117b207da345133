from itertools import islice

import numpy as np
import pytest
import torch

from services.messenger.prompt import SLOTS
from training.messenger import base
from training.messenger.base import BaseArgs, documents, token_blocks, train_tokenizer, warmup_cosine

pytestmark = pytest.mark.torch

TEXTS = list(islice(documents(seed=1, flawed_share=0.5), 300))


def test_the_tokenizer_has_no_unknown_text_and_decodes_what_it_encodes() -> None:
    tokenizer = train_tokenizer(TEXTS, 512)
    for text in (*TEXTS[:50], "Zoë 李雷 🎉 <b>", "a  b\n\tc"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids


def test_a_slot_is_a_single_token() -> None:
    tokenizer = train_tokenizer(TEXTS, 512)

    assert len(tokenizer) == 512
    for slot in SLOTS:
        assert len(tokenizer(slot, add_special_tokens=False)["input_ids"]) == 1
        assert tokenizer.tokenize(f" {slot},") == ["Ġ", slot, ","]


def test_special_tokens_have_the_ids_of_opt_and_a_text_begins_with_the_end_of_text_token() -> None:
    tokenizer = train_tokenizer(TEXTS, 512)

    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (1, 2)
    assert tokenizer("Hi")["input_ids"][0] == 2


def test_half_of_the_documents_begin_with_a_prompt() -> None:
    assert np.mean([" Message: " in text for text in TEXTS]) == pytest.approx(0.5, abs=0.1)


def test_token_blocks_are_one_stream_of_documents() -> None:
    args = BaseArgs(batch_size=4, block_size=32)
    tokenizer = train_tokenizer(TEXTS, 512)
    first, second = islice(token_blocks(args, tokenizer), 2)
    stream = torch.cat([first.flatten(), second.flatten()])
    expected = [
        token
        for text in islice(documents(args.seed + 1, args.flawed_share), 20)
        for token in tokenizer(text)["input_ids"]
    ]

    assert first.shape == (4, 32)
    assert stream.tolist() == expected[: 2 * 4 * 32]


def test_the_learning_rate_warms_up_and_decays_to_a_tenth() -> None:
    assert warmup_cosine(0.0) == pytest.approx(0.01)
    assert warmup_cosine(0.0999) == pytest.approx(1.0, abs=0.02)
    assert warmup_cosine(1.0) == pytest.approx(0.1)
    assert all(warmup_cosine(a) >= warmup_cosine(a + 0.01) for a in np.arange(0.1, 0.98, 0.01))


def test_training_lowers_the_loss_and_repeats_with_its_seed() -> None:
    args = BaseArgs(
        vocab_size=512,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        steps=30,
        batch_size=8,
        block_size=32,
        learning_rate=1e-2,
    )
    (first, metrics), (second, _) = (base.train(args) for _ in range(2))

    assert metrics[-1].loss < metrics[0].loss - 1
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_the_default_model_has_3_5_million_parameters() -> None:
    assert sum(weight.numel() for weight in base.build_model(BaseArgs()).parameters()) == pytest.approx(3.5e6, rel=0.01)
