"""Language-model code that all stages share: loading, LoRA adapters, batches, log-probabilities and sampling.

It depends on no stage, and not on what the texts are about.
"""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

logging.disable_progress_bar()

LORA_RANK, LORA_ALPHA = 16, 32
LORA_TARGETS = "all-linear"
"""Adapted layers: all but the output layer (Hu et al. 2021 adapt attention alone; Dettmers et al. 2023 adapt all)."""
MICRO_BATCH_SIZE = 16
"""Texts of a forward pass, of similar length: little padding, and the activations stay in the processor's cache."""


class LM(NamedTuple):
    model: Any
    """A transformers causal language model, or a PEFT model that wraps one."""
    tokenizer: PreTrainedTokenizerBase


def load(name: str | Path, eight_bit: bool = False) -> LM:
    """Load a model from a folder or the hub, without dropout; `eight_bit` quantizes it by bitsandbytes."""
    config = BitsAndBytesConfig(load_in_8bit=True) if eight_bit else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    attention = "sdpa" if device == "cuda" else "eager"  # on a CPU, eager attention is faster for sequences this short
    model = AutoModelForCausalLM.from_pretrained(
        name, quantization_config=config, dtype=torch.float32, device_map=device, attn_implementation=attention
    )
    return LM(model.eval(), AutoTokenizer.from_pretrained(name))


def add_adapters(model: Any, seed: int) -> Any:
    """Freeze the model and add trainable LoRA adapters. Their matrix B is 0, so that they begin without effect."""
    from peft import LoraConfig, get_peft_model  # takes seconds, which --help should not

    torch.manual_seed(seed)
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=LORA_TARGETS, bias="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a deprecated name of transformers
        return get_peft_model(model, config).eval()


def merge_adapters(model: Any) -> Any:
    """The model with its adapters, if it has any, added to its weights: W + BA."""
    from peft import PeftModel

    return model.merge_and_unload() if isinstance(model, PeftModel) else model


def trainable_copy(model: Any, seed: int) -> Any:
    """A copy whose weights are all trainable; of an 8-bit model, only new adapters are."""
    copy = deepcopy(model)
    return add_adapters(copy, seed) if is_eight_bit(model) else copy.requires_grad_(True)


def is_eight_bit(model: Any) -> bool:
    return any(not weight.is_floating_point() for weight in model.parameters())


def save(lm: LM, folder: Path) -> None:
    """Write floats in safetensors, which `load`, vLLM and CTranslate2 read; 8-bit weights are dequantized."""
    model = deepcopy(lm.model).dequantize().float() if is_eight_bit(lm.model) else lm.model
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


def bf16_autocast() -> torch.autocast:
    """Matrix products in bfloat16 where the processor has instructions for them: 1.6 times as fast."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities().get("avx512_bf16")))


class Batch(NamedTuple):
    """Prompts, padded on the left, and the responses that follow them, padded on the right."""

    ids: Tensor
    """[n, length]"""
    attention_mask: Tensor
    """[n, length], 1 where a token is not padding."""
    response_start: int
    """Column in which all responses begin; [n, width] below has width = length − response_start."""

    @property
    def response_mask(self) -> Tensor:
        """[n, width], True at the tokens of the response, its end-of-text token included."""
        return self.attention_mask[:, self.response_start :].bool()

    @property
    def last_index(self) -> Tensor:
        """[n], column of the last token that is not padding."""
        return self.response_start + self.response_mask.sum(dim=1) - 1

    def to(self, device: Any) -> "Batch":
        return Batch(self.ids.to(device), self.attention_mask.to(device), self.response_start)

    def select(self, indices: Tensor) -> "Batch":
        """These rows, without columns that are padding in all of them."""
        ids, mask = self.ids[indices], self.attention_mask[indices]
        columns = mask.any(dim=0).nonzero()[:, 0]
        first, end = int(columns[0]), int(columns[-1]) + 1
        return Batch(ids[:, first:end], mask[:, first:end], self.response_start - first)

    def length_buckets(self, indices: Tensor, size: int) -> tuple[Tensor, ...]:
        """The indices, sorted by the length of their rows and split into buckets of `size`."""
        return indices[self.attention_mask[indices].sum(dim=1).argsort().cpu()].split(size)


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], max_length: int) -> Batch:
    """A batch of `texts`, each closed by an end-of-text token, after their prompts.

    Rows over `max_length` tokens lose the beginning of their prompt first.
    """
    return pad(*_token_ids(tokenizer, prompts, texts, max_length), int(tokenizer.pad_token_id))


def encode_joined(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], max_length: int
) -> Batch:
    """As `encode`, but prompt and text form one response, padded on the right only: shorter rows, for scoring."""
    prompt_ids, text_ids = _token_ids(tokenizer, prompts, texts, max_length)
    joined_ids = [before + after for before, after in zip(prompt_ids, text_ids, strict=True)]
    return pad([[]] * len(joined_ids), joined_ids, int(tokenizer.pad_token_id))


def _token_ids(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str], max_length: int
) -> tuple[list[list[int]], list[list[int]]]:
    prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    text_ids = [
        [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id][: max_length - 1]
        for text in texts
    ]
    truncated = [before[-(max_length - len(after)) :] for before, after in zip(prompt_ids, text_ids, strict=True)]
    return truncated, text_ids


def pad(prompt_ids: Sequence[Sequence[int]], text_ids: Sequence[Sequence[int]], pad_id: int) -> Batch:
    left, right = max(map(len, prompt_ids)), max(map(len, text_ids))
    ids = torch.full((len(prompt_ids), left + right), pad_id)
    mask = torch.zeros_like(ids)
    for row, (before, after) in enumerate(zip(prompt_ids, text_ids, strict=True)):
        start, end = left - len(before), left + len(after)
        ids[row, start:end] = torch.tensor([*before, *after])
        mask[row, start:end] = 1
    return Batch(ids, mask, left)


def vocabulary_logprobs(model: Any, batch: Batch) -> Tensor:
    """[n, width, vocabulary], log-probability of every token of the vocabulary at each position of the responses."""
    width = batch.ids.shape[1] - batch.response_start
    output = model(input_ids=batch.ids, attention_mask=batch.attention_mask, logits_to_keep=width + 1)
    return torch.log_softmax(output.logits[:, :-1].float(), dim=-1)


def token_logprobs(vocabulary: Tensor, batch: Batch) -> Tensor:
    """[n, width], log-probabilities of the responses' tokens, from those of the vocabulary; 0 at padding."""
    return vocabulary.gather(2, batch.ids[:, batch.response_start :, None])[..., 0] * batch.response_mask


def token_entropies(vocabulary: Tensor, batch: Batch) -> Tensor:
    """[n, width], entropy of the distribution of each token, in nats; 0 at padding."""
    return -(vocabulary.exp() * vocabulary).sum(dim=-1) * batch.response_mask


@torch.no_grad()  # type: ignore[untyped-decorator]
def sample(lm: LM, prompts: Sequence[str], max_new_tokens: int, greedy: bool = False) -> Batch:
    """Responses to `prompts`, at temperature 1 from the whole vocabulary; `max_new_tokens` includes the end of text."""
    tokenizer = lm.tokenizer
    prompt_ids = tokenizer(list(prompts))["input_ids"]
    inputs = pad(prompt_ids, [[]] * len(prompts), tokenizer.pad_token_id).to(lm.model.device)
    ids = lm.model.generate(
        input_ids=inputs.ids, attention_mask=inputs.attention_mask,
        do_sample=not greedy, temperature=1.0 if not greedy else None, top_k=0 if not greedy else None,
        top_p=None, max_new_tokens=max_new_tokens, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        cache_implementation="static", disable_compile=True,  # a growing cache is copied at each token
    )  # fmt: skip
    start = inputs.response_start
    is_eos = ids[:, start:] == tokenizer.eos_token_id
    eos_count = is_eos.cumsum(dim=1)
    response_mask = (eos_count == 0) | (is_eos & (eos_count == 1))
    return Batch(ids, torch.cat([inputs.attention_mask, response_mask.long()], dim=1), start)


def decode(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """The responses as texts, without the end of text."""
    rows = zip(batch.ids[:, batch.response_start :].tolist(), batch.response_mask.tolist(), strict=True)
    responses = [[token for token, in_response in zip(*row, strict=True) if in_response] for row in rows]
    return [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in responses]


def has_eos(tokenizer: PreTrainedTokenizerBase, batch: Batch) -> Tensor:
    """[n], whether the response has an end-of-text token."""
    return ((batch.ids[:, batch.response_start :] == tokenizer.eos_token_id) & batch.response_mask).any(dim=1)
