from pathlib import Path

import pytest
import torch

from tests.training.messenger.tiny_model import tiny
from training.messenger.lm import (
    LM,
    adapted,
    distributions,
    encode,
    ended,
    entropies,
    load,
    log_probabilities,
    merged,
    padded,
    sample,
    save,
    texts,
)

PROMPTS = ("Offer: none. Known: nothing. Concern: none. Message:", "Message:")


@pytest.fixture(scope="module")
def lm() -> LM:
    return tiny()


def test_prompts_are_filled_up_on_the_left_and_texts_on_the_right() -> None:
    batch = padded([[5, 6, 7], [8]], [[9], [10, 11]], pad=1)

    assert batch.ids.tolist() == [[5, 6, 7, 9, 1], [1, 1, 8, 10, 11]]
    assert batch.mask.tolist() == [[1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    assert batch.start == 3
    assert batch.written.tolist() == [[True, False], [True, True]]
    assert batch.last.tolist() == [3, 4]


def test_rows_leave_behind_what_only_others_need() -> None:
    batch = padded([[5, 6, 7], [8], [4, 4]], [[9], [10, 11], [2, 2, 2]], pad=1)
    some = batch.rows(torch.tensor([2, 1]))

    assert some.ids.tolist() == [[4, 4, 2, 2, 2], [1, 8, 10, 11, 1]]
    assert some.start == 2
    assert some.written.tolist() == [[True] * 3, [True, True, False]]


def test_rows_that_are_alike_in_length_come_together_each_once() -> None:
    batch = padded([[5]] * 5, [[1] * length for length in (3, 9, 1, 8, 2)], pad=0)
    parts = batch.alike(torch.tensor([4, 3, 2, 1, 0]), together=2)

    assert [part.tolist() for part in parts] == [[2, 4], [0, 3], [1]]


def test_a_text_ends_and_of_what_is_too_long_the_prompt_loses_its_beginning(lm: LM) -> None:
    batch = encode(lm.tokenizer, ["one two three four five six"], [" Hi"], longest=6)

    assert batch.ids.shape == (1, 6)
    assert batch.ids[0, -1] == lm.tokenizer.eos_token_id
    assert lm.tokenizer.decode(batch.ids[0, : batch.start]).endswith("x")


def test_what_stands_around_a_text_changes_nothing_of_it(lm: LM) -> None:
    both = encode(lm.tokenizer, PROMPTS, [" Hi [NAME], thank you.", " Hi, " * 9], 200)
    alone = encode(lm.tokenizer, PROMPTS[1:], [" Hi, " * 9], 200)
    with torch.no_grad():
        together, apart = (log_probabilities(distributions(lm.model, each), each) for each in (both, alone))

    assert together[1][both.written[1]] == pytest.approx(apart[0][alone.written[0]], abs=1e-4)
    assert not together[~both.written].any()


def test_log_probabilities_recomputed_are_those_that_were_sampled_by(lm: LM) -> None:
    torch.manual_seed(0)
    batch = sample(lm, PROMPTS * 20, most=12)
    with torch.no_grad():
        recomputed = log_probabilities(distributions(lm.model, batch), batch)
        one_by_one = torch.zeros_like(recomputed)
        for row, (ids, mask) in enumerate(zip(batch.ids, batch.mask, strict=True)):
            for at in range(int(batch.written[row].sum())):
                here = batch.start + at
                said = lm.model(input_ids=ids[:here][mask[:here].bool()][None]).logits[0, -1]
                one_by_one[row, at] = torch.log_softmax(said, 0)[ids[here]]

    assert (recomputed - one_by_one).abs().max() < 1e-4


def test_tokens_are_drawn_as_often_as_they_are_likely(lm: LM) -> None:
    torch.manual_seed(1)
    batch = sample(lm, ["Message:"] * 4_000, most=1)
    drawn = torch.bincount(batch.ids[:, -1], minlength=512) / 4_000
    asked = lm.tokenizer("Message:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        likely = lm.model(input_ids=asked).logits[0, -1].softmax(0)

    assert (drawn - likely).abs().max() < 0.03


def test_nothing_is_written_after_the_end_of_a_text(lm: LM) -> None:
    torch.manual_seed(2)
    batch = sample(lm, PROMPTS * 100, most=20)
    end = lm.tokenizer.eos_token_id
    for ids, written in zip(batch.ids[:, batch.start :], batch.written, strict=True):
        mine = ids[written].tolist()
        assert end not in mine[:-1]
        assert len(mine) == 20 or mine[-1] == end
    assert ended(lm.tokenizer, batch).tolist() == [
        end in ids[written].tolist() for ids, written in zip(batch.ids[:, batch.start :], batch.written, strict=True)
    ]


def test_texts_come_back_as_they_were_encoded(lm: LM) -> None:
    said = ["Hi [NAME], thank you for [MONTHS].", "Reply KEEP by [EXPIRY] · é 李雷"]

    assert texts(lm.tokenizer, encode(lm.tokenizer, PROMPTS, [f" {text}" for text in said], 200)) == said


def test_entropy_is_that_of_the_choices(lm: LM) -> None:
    batch = encode(lm.tokenizer, ["Message:"], [" Hi"], 50)
    even = torch.zeros(*batch.written.shape, 512).log_softmax(dim=-1)

    assert entropies(even, batch)[batch.written] == pytest.approx(float(torch.log(torch.tensor(512.0))))


def test_fresh_adapters_change_nothing_and_few_numbers_learn() -> None:
    lm = tiny()
    batch = encode(lm.tokenizer, PROMPTS, [" Hi", " Hello"], 50)
    with torch.no_grad():
        before = lm.model(input_ids=batch.ids, attention_mask=batch.mask).logits
        model = adapted(lm.model, seed=1)
        after = model(input_ids=batch.ids, attention_mask=batch.mask).logits

    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert torch.equal(before, after)
    assert all("lora" in name for name in learning)
    assert not model.training, "no dropout"


def test_merged_adapters_say_the_same() -> None:
    lm = tiny()
    model = adapted(lm.model, seed=1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    batch = encode(lm.tokenizer, PROMPTS, [" Hi", " Hello"], 50)
    with torch.no_grad():
        before = distributions(model, batch)
        with model.disable_adapter():
            frozen = distributions(model, batch)
        after = distributions(merged(model), batch)

    assert (before - frozen).abs().max() > 0.01
    assert (before - after).abs().max() < 1e-3


def test_what_is_saved_is_loaded_the_same(lm: LM, tmp_path: Path) -> None:
    save(lm, tmp_path)
    again = load(tmp_path)
    batch = encode(lm.tokenizer, PROMPTS, [" Hi [NAME]", " Hello"], 50)
    same = encode(again.tokenizer, PROMPTS, [" Hi [NAME]", " Hello"], 50)

    assert torch.equal(batch.ids, same.ids)
    with torch.no_grad():
        assert torch.equal(distributions(lm.model, batch), distributions(again.model, same))
    assert {file.suffix for file in tmp_path.iterdir()} <= {".json", ".safetensors", ".txt", ".jinja"}
