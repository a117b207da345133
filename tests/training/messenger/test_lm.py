from pathlib import Path

import pytest
import torch

from tests.training.messenger.tiny_model import tiny_lm
from training.messenger.lm import (
    LM,
    add_adapters,
    decode,
    encode,
    has_eos,
    load,
    merge_adapters,
    pad,
    sample,
    save,
    token_entropies,
    token_logprobs,
    vocabulary_logprobs,
)

pytestmark = pytest.mark.torch

PROMPTS = ("Offer: none. Known: nothing. Concern: none. Message:", "Message:")


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny_lm()


def test_prompts_are_padded_on_the_left_and_texts_on_the_right() -> None:
    batch = pad([[5, 6, 7], [8]], [[9], [10, 11]], pad_id=1)

    assert batch.ids.tolist() == [[5, 6, 7, 9, 1], [1, 1, 8, 10, 11]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert batch.response_start == 3
    assert batch.response_mask.tolist() == [[True, False], [True, True]]
    assert batch.last_index.tolist() == [3, 4]


def test_selected_rows_lose_columns_that_are_padding_in_all_of_them() -> None:
    batch = pad([[5, 6, 7], [8], [4, 4]], [[9], [10, 11], [2, 2, 2]], pad_id=1)
    selected = batch.select(torch.tensor([2, 1]))

    assert selected.ids.tolist() == [[4, 4, 2, 2, 2], [1, 8, 10, 11, 1]]
    assert selected.response_start == 2
    assert selected.response_mask.tolist() == [[True] * 3, [True, True, False]]


def test_length_buckets_hold_each_row_once_sorted_by_length() -> None:
    batch = pad([[5]] * 5, [[1] * length for length in (3, 9, 1, 8, 2)], pad_id=0)
    buckets = batch.length_buckets(torch.tensor([4, 3, 2, 1, 0]), size=2)

    assert [bucket.tolist() for bucket in buckets] == [[2, 4], [0, 3], [1]]


def test_an_encoded_text_ends_with_eos_and_a_row_too_long_loses_the_beginning_of_its_prompt(lm: LM) -> None:
    batch = encode(lm.tokenizer, ["one two three four five six"], [" Hi"], max_length=6)

    assert batch.ids.shape == (1, 6)
    assert batch.ids[0, -1] == lm.tokenizer.eos_token_id
    assert lm.tokenizer.decode(batch.ids[0, : batch.response_start]).endswith("x")


def test_log_probabilities_do_not_depend_on_padding(lm: LM) -> None:
    both = encode(lm.tokenizer, PROMPTS, [" Hi [NAME], thank you.", " Hi, " * 9], 200)
    alone = encode(lm.tokenizer, PROMPTS[1:], [" Hi, " * 9], 200)
    with torch.no_grad():
        batched, single = (token_logprobs(vocabulary_logprobs(lm.model, batch), batch) for batch in (both, alone))

    assert batched[1][both.response_mask[1]] == pytest.approx(single[0][alone.response_mask[0]], abs=1e-4)
    assert not batched[~both.response_mask].any()


def test_log_probabilities_of_samples_equal_those_computed_token_by_token(lm: LM) -> None:
    torch.manual_seed(0)
    batch = sample(lm, PROMPTS * 20, max_new_tokens=12)
    with torch.no_grad():
        recomputed = token_logprobs(vocabulary_logprobs(lm.model, batch), batch)
        token_by_token = torch.zeros_like(recomputed)
        for row, (ids, mask) in enumerate(zip(batch.ids, batch.attention_mask, strict=True)):
            for t in range(int(batch.response_mask[row].sum())):
                column = batch.response_start + t
                logits = lm.model(input_ids=ids[:column][mask[:column].bool()][None]).logits[0, -1]
                token_by_token[row, t] = torch.log_softmax(logits, 0)[ids[column]]

    assert (recomputed - token_by_token).abs().max() < 1e-4


def test_tokens_are_sampled_with_their_probabilities(lm: LM) -> None:
    torch.manual_seed(1)
    batch = sample(lm, ["Message:"] * 4_000, max_new_tokens=1)
    frequencies = torch.bincount(batch.ids[:, -1], minlength=512) / 4_000
    prompt_ids = lm.tokenizer("Message:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        probabilities = lm.model(input_ids=prompt_ids).logits[0, -1].softmax(0)

    assert (frequencies - probabilities).abs().max() < 0.03


def test_a_response_ends_at_its_first_end_of_text_token(lm: LM) -> None:
    torch.manual_seed(2)
    batch = sample(lm, PROMPTS * 100, max_new_tokens=20)
    eos = lm.tokenizer.eos_token_id
    for ids, mask in zip(batch.ids[:, batch.response_start :], batch.response_mask, strict=True):
        response = ids[mask].tolist()
        assert eos not in response[:-1]
        assert len(response) == 20 or response[-1] == eos
    assert has_eos(lm.tokenizer, batch).tolist() == [
        eos in ids[mask].tolist()
        for ids, mask in zip(batch.ids[:, batch.response_start :], batch.response_mask, strict=True)
    ]


def test_decoding_restores_the_encoded_texts(lm: LM) -> None:
    texts = ["Hi [NAME], thank you for [MONTHS].", "Reply KEEP by [EXPIRY] · é 李雷"]

    assert decode(lm.tokenizer, encode(lm.tokenizer, PROMPTS, [f" {text}" for text in texts], 200)) == texts


def test_the_entropy_of_a_uniform_distribution_is_the_logarithm_of_the_vocabulary_size(lm: LM) -> None:
    batch = encode(lm.tokenizer, ["Message:"], [" Hi"], 50)
    uniform = torch.zeros(*batch.response_mask.shape, 512).log_softmax(dim=-1)

    assert token_entropies(uniform, batch)[batch.response_mask] == pytest.approx(float(torch.log(torch.tensor(512.0))))


def test_fresh_adapters_change_no_output_and_only_adapters_learn() -> None:
    lm = tiny_lm()
    batch = encode(lm.tokenizer, PROMPTS, [" Hi", " Hello"], 50)
    with torch.no_grad():
        before = lm.model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits
        model = add_adapters(lm.model, seed=1)
        after = model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits

    trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert torch.equal(before, after)
    assert all("lora" in name for name in trainable)
    assert not model.training, "no dropout"


def test_merged_adapters_give_the_same_probabilities() -> None:
    lm = tiny_lm()
    model = add_adapters(lm.model, seed=1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    batch = encode(lm.tokenizer, PROMPTS, [" Hi", " Hello"], 50)
    with torch.no_grad():
        before = vocabulary_logprobs(model, batch)
        with model.disable_adapter():
            frozen = vocabulary_logprobs(model, batch)
        after = vocabulary_logprobs(merge_adapters(model), batch)

    assert (before - frozen).abs().max() > 0.01
    assert (before - after).abs().max() < 1e-3


def test_a_saved_model_is_loaded_unchanged(lm: LM, tmp_path: Path) -> None:
    save(lm, tmp_path)
    loaded = load(tmp_path)
    batch = encode(lm.tokenizer, PROMPTS, [" Hi [NAME]", " Hello"], 50)
    loaded_batch = encode(loaded.tokenizer, PROMPTS, [" Hi [NAME]", " Hello"], 50)

    assert torch.equal(batch.ids, loaded_batch.ids)
    with torch.no_grad():
        assert torch.equal(vocabulary_logprobs(lm.model, batch), vocabulary_logprobs(loaded.model, loaded_batch))
    assert {file.suffix for file in tmp_path.iterdir()} <= {".json", ".safetensors", ".txt", ".jinja"}
