"""A language model so small that a test can train it, with the project's own tokenizer."""

import torch

from training.messenger import base
from training.messenger.lm import LM

ARGS = base.Args(vocabulary=512, hidden=32, layers=2, heads=2)


def tiny(seed: int = 0) -> LM:
    torch.set_num_threads(1)
    texts = base.documents(seed=5, flawed=0.3)
    words = base.tokenizer([next(texts) for _ in range(200)], ARGS.vocabulary)
    lm = LM(base.model(base.Args(**{**vars(ARGS), "seed": seed})).eval(), words)
    for weight in lm.model.parameters():  # fresh weights say nearly the same of everything
        weight.data *= 4 if weight.dim() > 1 else 1
    return lm
