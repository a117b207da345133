"""A writer and a reward model small enough to train in a test, as an artifact in training's format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ctranslate2.converters import TransformersConverter
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from services.messenger.artifact import INPUTS
from services.messenger.prompt import build_prompt
from services.messenger.sampling import MAX_NEW_TOKENS
from shared.artifacts import Manifest, write_manifest
from shared.messages import Brief
from tests.messenger.builders import BRIEFS
from training.messenger import base


class TinyModels(NamedTuple):
    artifacts: Path
    writer: Any
    reward: Any
    """Both as transformers models; their weights are in folders of these names beside `artifacts`."""
    tokenizer: PreTrainedTokenizerFast


def target_texts(brief: Brief) -> tuple[str, str]:
    """The texts that the writer is trained on."""
    greeting = "Hi [NAME]" if brief.first_name else "Hello"
    if brief.offer_percentage:
        offer = "[OFFER] off your next bill: reply KEEP by [EXPIRY]."
        return f"{greeting}, take {offer}", f"{greeting}, thank you for being with us. We take {offer}"
    topic = "[PLAN]" if brief.plan else "everything"
    return f"{greeting}, how are you getting on with {topic}?", f"{greeting}, is {topic} still right for you? Tell us."


def train_tiny_models(folder: Path) -> TinyModels:
    logging.disable_progress_bar()
    corpus = [text for brief in BRIEFS for text in (build_prompt(brief), *target_texts(brief))]
    tokenizer = base.train_tokenizer(corpus, 400)
    torch.manual_seed(0)
    writer, reward = _model(len(tokenizer)), _model(len(tokenizer), tie_word_embeddings=False)
    _train(writer, tokenizer)
    with torch.no_grad():
        reward.lm_head.weight[1:] = 0
    artifact = folder / "artifacts" / "messenger"
    for name, model in (("writer", writer), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        convert(folder / name, artifact / name, "int8")
    tokenizer.backend_tokenizer.save(str(artifact / "tokenizer.json"))
    write_manifest(artifact, Manifest(version="tiny", made_by="a test", inputs=INPUTS, data_sha256={}, metrics={}))
    return TinyModels(folder / "artifacts", writer.eval(), reward.eval(), tokenizer)


def convert(weights: Path, folder: Path, quantization: str | None = None) -> Path:
    """Convert a transformers model to CTranslate2; 32-bit weights unless quantised."""
    TransformersConverter(str(weights)).convert(str(folder), quantization=quantization)
    return folder


def decode_greedily(tiny: TinyModels, prefixes: Sequence[Sequence[int]]) -> list[list[int]]:
    """Token ids that transformers generates after each prefix."""
    tiny.tokenizer.padding_side = "left"
    batch = tiny.tokenizer.pad({"input_ids": prefixes}, return_tensors="pt")
    sequences = tiny.writer.generate(**batch, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
    generated = sequences[:, batch["input_ids"].shape[1] :].tolist()
    return [[token for token in ids if token != tiny.tokenizer.pad_token_id] for ids in generated]


def _model(vocabulary: int, **options: bool) -> Any:
    config = OPTConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=2,
        ffn_dim=64,
        num_attention_heads=1,  # a head of 32 dimensions, the smallest that vLLM supports on a CPU
        max_position_embeddings=256,
        dropout=0.0,
        **options,
    )
    return OPTForCausalLM(config)


def _train(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [f"{build_prompt(brief)} {text}</s>" for brief in BRIEFS for text in target_texts(brief)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].where(batch["attention_mask"].bool(), -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for rows in (torch.randperm(len(texts))[:24] for _ in range(200)):
        optimizer.zero_grad()
        minibatch = {name: tensor[rows] for name, tensor in batch.items()}
        model(**minibatch, labels=labels[rows]).loss.backward()
        optimizer.step()
