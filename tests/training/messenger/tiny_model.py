"""A language model small enough to train in a test, with the project's own tokenizer."""

from dataclasses import replace

import torch

from training.messenger import base
from training.messenger.base import BaseArgs
from training.messenger.lm import LM

ARGS = BaseArgs(vocab_size=512, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)


def tiny_lm(seed: int = 0) -> LM:
    torch.set_num_threads(1)
    texts = base.documents(seed=5, flawed_share=0.3)
    tokenizer = base.train_tokenizer([next(texts) for _ in range(200)], ARGS.vocab_size)
    lm = LM(base.build_model(replace(ARGS, seed=seed)).eval(), tokenizer)
    for weight in lm.model.parameters():  # untrained weights give nearly the same probability to every token
        weight.data *= 4 if weight.dim() > 1 else 1
    return lm
