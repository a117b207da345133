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
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

logging.disable_progress_bar()

RANK, ALPHA = 16, 32
TOGETHER = 16
"""Texts of about one length that are read at once: little is filled up, and it stays in a processor's cache."""
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
    start: int
    """Where in all rows the prompt has ended and the writer begins: length − start is the width of the texts."""

    @property
    def written(self) -> Tensor:
        """[n, width], True where the writer chose the token, the end of text included."""
        return self.mask[:, self.start :].bool()

    @property
    def last(self) -> Tensor:
        """[n], where the last real token stands."""
        return self.start + self.written.sum(dim=1) - 1

    def to(self, device: Any) -> "Batch":
        return Batch(self.ids.to(device), self.mask.to(device), self.start)

    def rows(self, which: Tensor) -> "Batch":
        """Without the columns that only others of the rows need."""
        ids, mask = self.ids[which], self.mask[which]
        real = mask.any(dim=0).nonzero()[:, 0]
        first, end = int(real[0]), int(real[-1]) + 1
        return Batch(ids[:, first:end], mask[:, first:end], self.start - first)

    def alike(self, rows: Tensor, together: int) -> tuple[Tensor, ...]:
        """The rows in parts of `together`, each of about one length."""
        return rows[self.mask[rows].sum(dim=1).argsort().cpu()].split(together)


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
    mask = torch.zeros_like(ids)
    for row, (before, after) in enumerate(zip(asked, said, strict=True)):
        start, end = left - len(before), left + len(after)
        ids[row, start:end] = torch.tensor([*before, *after])
        mask[row, start:end] = 1
    return Batch(ids, mask, left)


def distributions(model: Any, batch: Batch) -> Tensor:
    """[n, width, vocabulary], log-probabilities of all tokens in the place of each that was written."""
    width = batch.ids.shape[1] - batch.start
    said = model(input_ids=batch.ids, attention_mask=batch.mask, logits_to_keep=width + 1).logits[:, :-1]
    return torch.log_softmax(said.float(), dim=-1)


def log_probabilities(said: Tensor, batch: Batch) -> Tensor:
    """[n, width], of what was written; 0 after its end."""
    return said.gather(2, batch.ids[:, batch.start :, None])[..., 0] * batch.written


def entropies(said: Tensor, batch: Batch) -> Tensor:
    """[n, width], of the choice of each token, in nats; 0 where there was none."""
    return -(said.exp() * said).sum(dim=-1) * batch.written


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
    return Batch(ids, torch.cat([asked["attention_mask"], chosen.long()], dim=1), start)


def texts(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """What was written, without the end of text."""
    rows = zip(batch.ids[:, batch.start :].tolist(), batch.written.tolist(), strict=True)
    chosen = [[token for token, mine in zip(*row, strict=True) if mine] for row in rows]
    return [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in chosen]


def ended(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> Tensor:
    """[n], who came to an end of text."""
    return ((batch.ids[:, batch.start :] == tokenizer.eos_token_id) & batch.written).any(dim=1)
