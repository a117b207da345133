"""A writer and a reward model so small that a test can make them, in the form in which training leaves them."""

from collections.abc import Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from ctranslate2.converters import TransformersConverter
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from services.messenger.artifact import INPUTS
from services.messenger.prompt import build_prompt
from services.messenger.sampling import MAX_NEW_TOKENS
from shared.artifacts import Manifest, write_manifest
from shared.messages import Brief, Concern
from training.messenger import base

EVERY = tuple(
    Brief(
        offer_percentage=offer,
        expires_on=date(2025, 12, 7) if offer else None,
        first_name=name,
        tenure_months=months,
        plan=plan,
        concern=concern,
    )
    for offer, name, months, plan, concern in product(
        (0, 10), (None, "Sam"), (None, 12), (None, "Pro"), (None, *get_args(Concern))
    )
)
"""A brief for each prompt."""


class Tiny(NamedTuple):
    artifacts: Path
    writer: Any
    reward: Any
    """The transformers models; their weights lie in folders of those names beside `artifacts`."""
    tokenizer: PreTrainedTokenizerFast


def texts(brief: Brief) -> tuple[str, str]:
    """What the tiny writer learns to say."""
    greeting = "Hi [NAME]" if brief.first_name else "Hello"
    if brief.offer_percentage:
        offer = "[OFFER] off your next bill: reply KEEP by [EXPIRY]."
        return f"{greeting}, take {offer}", f"{greeting}, thank you for being with us. We take {offer}"
    what = "[PLAN]" if brief.plan else "everything"
    return f"{greeting}, how are you getting on with {what}?", f"{greeting}, is {what} still right for you? Tell us."


def make(folder: Path) -> Tiny:
    logging.disable_progress_bar()
    tokenizer = base.tokenizer([text for brief in EVERY for text in (build_prompt(brief), *texts(brief))], 400)
    torch.manual_seed(0)
    writer, reward = _model(len(tokenizer)), _model(len(tokenizer), tie_word_embeddings=False)
    _train(writer, tokenizer)
    with torch.no_grad():
        reward.lm_head.weight[1:] = 0
    artifact = folder / "artifacts" / "messenger"
    for name, model in (("writer", writer), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        converted(folder / name, artifact / name, "int8")
    tokenizer.backend_tokenizer.save(str(artifact / "tokenizer.json"))
    write_manifest(artifact, Manifest(version="tiny", made_by="a test", inputs=INPUTS, data_sha256={}, metrics={}))
    return Tiny(folder / "artifacts", writer.eval(), reward.eval(), tokenizer)


def converted(weights: Path, folder: Path, quantization: str | None = None) -> Path:
    TransformersConverter(str(weights)).convert(str(folder), quantization=quantization)
    return folder


def greedily(tiny: Tiny, starts: Sequence[Sequence[int]]) -> list[list[int]]:
    """What transformers writes after each of these tokens."""
    tiny.tokenizer.padding_side = "left"
    batch = tiny.tokenizer.pad({"input_ids": starts}, return_tensors="pt")
    ids = tiny.writer.generate(**batch, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)[
        :, batch["input_ids"].shape[1] :
    ]
    return [[token for token in row.tolist() if token != tiny.tokenizer.pad_token_id] for row in ids]


def _model(vocabulary: int, **options: bool) -> Any:
    config = OPTConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=2,
        ffn_dim=64,
        num_attention_heads=1,  # of 32 numbers: vLLM on a CPU takes no smaller ones
        max_position_embeddings=256,
        dropout=0.0,
        **options,
    )
    return OPTForCausalLM(config)


def _train(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = [(build_prompt(brief), f" {text}</s>") for brief in EVERY for text in texts(brief)]
    batch = tokenizer([asked + said for asked, said in pairs], padding=True, return_tensors="pt")
    labels = batch["input_ids"].where(batch["attention_mask"].bool(), -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for rows in (torch.randperm(len(pairs))[:24] for _ in range(200)):
        optimizer.zero_grad()
        few = {name: part[rows] for name, part in batch.items()}
        model(**few, labels=labels[rows]).loss.backward()
        optimizer.step()
