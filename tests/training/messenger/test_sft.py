from pathlib import Path

import pytest
import torch

from tests.training.messenger.tiny_model import tiny_lm
from training.messenger import sft
from training.messenger.data import Example
from training.messenger.lm import LM, encode, load, save, vocabulary_logprobs
from training.messenger.sft import SFTArgs, token_loss

pytestmark = pytest.mark.torch

EXAMPLES = [Example("Say a:", " aye aye"), Example("Say b:", " bee bee")] * 8


def test_the_loss_counts_only_the_text_after_the_prompt() -> None:
    lm = tiny_lm()
    longer = [Example("Something else entirely. " + prompt, text) for prompt, text in EXAMPLES[:2]]
    losses = [token_loss(lm, examples, 99).item() for examples in (EXAMPLES[:2], longer)]

    assert losses[0] == pytest.approx(losses[1], rel=0.3), "the prompt's own tokens are not counted"
    loss = token_loss(lm, EXAMPLES[:1], 99).item()
    ids = lm.tokenizer("Say a:")["input_ids"]
    text = [*lm.tokenizer(" aye aye", add_special_tokens=False)["input_ids"], 2]
    logprobs = torch.log_softmax(lm.model(torch.tensor([ids + text])).logits[0, len(ids) - 1 : -1], 1)
    assert loss == pytest.approx(-logprobs[range(len(text)), text].mean().item(), rel=1e-4)


def test_adapters_learn_and_are_then_merged() -> None:
    lm = tiny_lm()
    embeddings = lm.model.get_input_embeddings().weight.clone()
    tuned, metrics = sft.train(lm, EXAMPLES, SFTArgs(steps=60, batch_size=8, learning_rate=1e-2), EXAMPLES[:2])

    assert metrics[-1].loss < metrics[0].loss / 1.5
    assert metrics[-1].held_out_loss == pytest.approx(token_loss(tuned, EXAMPLES[:2], 99).item(), abs=0.01)
    assert torch.equal(tuned.model.get_input_embeddings().weight, embeddings)
    assert not any("lora" in name for name in tuned.model.state_dict())


@pytest.mark.filterwarnings("ignore:Merge lora module to 8-bit:UserWarning")
def test_a_base_model_in_8_bits_is_fine_tuned(tmp_path: Path) -> None:
    save(tiny_lm(), tmp_path)
    lm = load(tmp_path, eight_bit=True)
    layer_types = {type(module).__name__ for module in lm.model.modules()}
    tuned, metrics = sft.train(lm, EXAMPLES, SFTArgs(steps=30, batch_size=8, learning_rate=1e-2))

    assert "Linear8bitLt" in layer_types
    assert metrics[-1].loss < metrics[0].loss / 1.5
    assert isinstance(tuned, LM)
    with torch.no_grad():
        logprobs = vocabulary_logprobs(tuned.model, encode(tuned.tokenizer, ["Say a:"], [" aye"], 99))
    assert logprobs.isfinite().all()
