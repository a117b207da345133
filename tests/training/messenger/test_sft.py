from pathlib import Path

import pytest
import torch

from tests.training.messenger.tiny_model import tiny
from training.messenger import sft
from training.messenger.data import Example
from training.messenger.lm import LM, distributions, encode, load, save
from training.messenger.sft import Args, nats

EXAMPLES = [Example("Say a:", " aye aye"), Example("Say b:", " bee bee")] * 8


def test_only_what_follows_the_prompt_is_learnt() -> None:
    lm = tiny()
    longer = [Example("Something else entirely. " + prompt, text) for prompt, text in EXAMPLES[:2]]
    losses = [nats(lm, some, 99).item() for some in (EXAMPLES[:2], longer)]

    assert losses[0] == pytest.approx(losses[1], rel=0.3), "the prompt's own tokens are not counted"
    one = nats(lm, EXAMPLES[:1], 99).item()
    ids = lm.tokenizer("Say a:")["input_ids"]
    text = [*lm.tokenizer(" aye aye", add_special_tokens=False)["input_ids"], 2]
    said = torch.log_softmax(lm.model(torch.tensor([ids + text])).logits[0, len(ids) - 1 : -1], 1)
    assert one == pytest.approx(-said[range(len(text)), text].mean().item(), rel=1e-4)


def test_it_learns_by_adapters_which_are_then_merged() -> None:
    lm = tiny()
    embeddings = lm.model.get_input_embeddings().weight.clone()
    tuned, points = sft.train(lm, EXAMPLES, Args(steps=60, batch=8, learning_rate=1e-2), EXAMPLES[:2])

    assert points[-1].loss < points[0].loss / 1.5
    assert points[-1].held_out == pytest.approx(nats(tuned, EXAMPLES[:2], 99).item(), abs=0.01)
    assert torch.equal(tuned.model.get_input_embeddings().weight, embeddings)
    assert not any("lora" in name for name in tuned.model.state_dict())


@pytest.mark.filterwarnings("ignore:Merge lora module to 8-bit:UserWarning")
def test_a_base_in_8_bits_is_adapted_too(tmp_path: Path) -> None:
    save(tiny(), tmp_path)
    lm = load(tmp_path, eight_bit=True)
    kinds = {type(module).__name__ for module in lm.model.modules()}
    tuned, points = sft.train(lm, EXAMPLES, Args(steps=30, batch=8, learning_rate=1e-2))

    assert "Linear8bitLt" in kinds
    assert points[-1].loss < points[0].loss / 1.5
    assert isinstance(tuned, LM)
    with torch.no_grad():
        said = distributions(tuned.model, encode(tuned.tokenizer, ["Say a:"], [" aye"], 99))
    assert said.isfinite().all()
