"""What the stages share: a causal language model by name, texts as tokens, and what the model says of them.

Knows no stage, and nothing of what the texts are about.
"""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

logging.disable_progress_bar()

RANK, ALPHA = 16, 32
LINEAR = "all-linear"
"""Layers that are adapted: all but the last (Hu et al. 2021 adapt attention alone; Dettmers et al. 2023, all)."""


class LM(NamedTuple):
    model: Any
    """A transformers causal language model, or a PEFT model of one."""
    tokenizer: PreTrainedTokenizerBase


def load(name: str | Path, eight_bit: bool = False) -> LM:
    """From a folder or the hub, in evaluation mode: no stage wants dropout. `eight_bit` by bitsandbytes."""
    config = BitsAndBytesConfig(load_in_8bit=True) if eight_bit else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    attention = "sdpa" if device == "cuda" else "eager"  # of rows this short, a processor makes quicker work without
    model = AutoModelForCausalLM.from_pretrained(
        name, quantization_config=config, dtype=torch.float32, device_map=device, attn_implementation=attention
    )
    return LM(model.eval(), AutoTokenizer.from_pretrained(name))


def adapted(model: Any, seed: int) -> Any:
    """The model with fresh LoRA adapters, which alone learn. They begin as no change: B is 0."""
    torch.manual_seed(seed)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LINEAR, bias="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        return get_peft_model(model, config).eval()


def merged(model: Any) -> Any:
    """The model with its adapters, if it has any, added to its weights: W + BA."""
    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def copied(model: Any, seed: int) -> Any:
    """A copy of which all weights learn; where they are in 8 bits, adapters do."""
    copy = deepcopy(model)
    return adapted(copy, seed) if in_eight_bits(model) else copy.requires_grad_(True)


def in_eight_bits(model: Any) -> bool:
    return any(not weight.is_floating_point() for weight in model.parameters())


def save(lm: LM, folder: Path) -> None:
    """As `load`, vLLM and CTranslate2 read it: floats, in safetensors."""
    model = deepcopy(lm.model).dequantize().float() if in_eight_bits(lm.model) else lm.model
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


def quicker() -> torch.autocast:
    """Matrix products in bfloat16, where the processor has them: 1.6 times as quick."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities().get("avx512_bf16")))


class Batch(NamedTuple):
    """Prompts, filled up on the left, and what was written after them, filled up on the right."""

    ids: Tensor
    """[n, length]"""
    mask: Tensor
    """[n, length], 1 where a token is real."""
    written: Tensor
    """[n, length], True where the writer chose the token, the end of text included."""

    def to(self, device: Any) -> "Batch":
        return Batch(*(part.to(device) for part in self))

    def rows(self, which: Tensor) -> "Batch":
        return Batch(*(part[which] for part in self))

    @property
    def last(self) -> Tensor:
        """[n], where the last real token stands."""
        return self.mask.shape[1] - 1 - self.mask.flip(1).argmax(dim=1)


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], longest: int) -> Batch:
    """`texts` end with the end-of-text token. Of what is over `longest` tokens, a prompt loses its beginning first."""
    return padded(*_tokens(tokenizer, prompts, texts, longest), int(tokenizer.pad_token_id))


def joined(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], longest: int) -> Batch:
    """The same as one piece each, filled up on the right alone: shorter, where who wrote what does not matter."""
    asked, said = _tokens(tokenizer, prompts, texts, longest)
    whole = [before + after for before, after in zip(asked, said, strict=True)]
    return padded([[]] * len(whole), whole, int(tokenizer.pad_token_id))


def _tokens(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], longest: int
) -> tuple[list[list[int]], list[list[int]]]:
    asked = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    said = [
        [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id][: longest - 1]
        for text in texts
    ]
    return [ids[-(longest - len(answer)) :] for ids, answer in zip(asked, said, strict=True)], said


def padded(asked: Sequence[Sequence[int]], said: Sequence[Sequence[int]], pad: int) -> Batch:
    left, right = max(map(len, asked)), max(map(len, said))
    ids = torch.full((len(asked), left + right), pad)
    mask, written = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for row, (before, after) in enumerate(zip(asked, said, strict=True)):
        start, end = left - len(before), left + len(after)
        ids[row, start:end] = torch.tensor([*before, *after])
        mask[row, start:end] = 1
        written[row, left:end] = True
    return Batch(ids, mask, written)


def log_probabilities(logits: Tensor, batch: Batch) -> Tensor:
    """[n, length], of each token after those before it; 0 where the writer did not choose it."""
    said = torch.log_softmax(logits[:, :-1].float(), dim=-1).gather(2, batch.ids[:, 1:, None])[..., 0]
    return nn.functional.pad(said, (1, 0)) * batch.written


def entropies(logits: Tensor, batch: Batch) -> Tensor:
    """[n, length], of the choice of each token, in nats; 0 where there was none."""
    said = torch.log_softmax(logits[:, :-1].float(), dim=-1)
    return nn.functional.pad(-(said.exp() * said).sum(dim=-1), (1, 0)) * batch.written


def logits(model: Any, batch: Batch) -> Tensor:
    """[n, length, vocabulary]; position i says what comes after token i."""
    return model(input_ids=batch.ids, attention_mask=batch.mask).logits


@torch.no_grad()  # type: ignore[untyped-decorator]
def sample(lm: LM, prompts: Sequence[str], most: int, greedy: bool = False) -> Batch:
    """What the model writes after `prompts`: at temperature 1, of all tokens; at most `most`, the end included."""
    tokenizer = lm.tokenizer
    tokenizer.padding_side = "left"
    asked = tokenizer(list(prompts), return_tensors="pt", padding=True).to(lm.model.device)
    ids = lm.model.generate(
        **asked, do_sample=not greedy, temperature=1.0 if not greedy else None, top_k=0 if not greedy else None,
        top_p=None, max_new_tokens=most, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        cache_implementation="static", disable_compile=True,  # one that grows is copied at each token
    )  # fmt: skip
    start = asked["input_ids"].shape[1]
    ended = (ids[:, start:] == tokenizer.eos_token_id).cumsum(dim=1)
    chosen = (ended == 0) | ((ids[:, start:] == tokenizer.eos_token_id) & (ended == 1))
    written = torch.cat([torch.zeros_like(asked["input_ids"], dtype=torch.bool), chosen], dim=1)
    mask = torch.cat([asked["attention_mask"], chosen.long()], dim=1)
    return Batch(ids, mask, written)


def texts(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """What was written, without the end of text."""
    rows = zip(batch.ids.tolist(), batch.written.tolist(), strict=True)
    chosen = [[token for token, mine in zip(*row, strict=True) if mine] for row in rows]
    return [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in chosen]


def ended(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> Tensor:
    """[n], who came to an end of text."""
    return ((batch.ids == tokenizer.eos_token_id) & batch.written).any(dim=1)
