"""From what training made to what serves: CTranslate2 in 8 bits, on a CPU, without torch."""

import tempfile
from copy import deepcopy
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from torch import nn

from training.messenger.lm import LM, save
from training.messenger.reward import RewardModel


def convert(lm: LM, folder: Path, quantization: str | None = "int8") -> None:
    """`model.bin`, `config.json` and `vocabulary.json`; with None the weights stay as they are."""
    with tempfile.TemporaryDirectory() as weights:
        save(lm, Path(weights))
        TransformersConverter(weights).convert(str(folder), quantization=quantization, force=True)


def as_lm(judge: RewardModel) -> LM:
    """The reward model as a language model: what it thinks of a text is logit 0 of what would come next."""
    model = deepcopy(judge.lm)
    model.config.tie_word_embeddings = False
    head = nn.Linear(judge.head.in_features, model.config.vocab_size, bias=False)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[0] = judge.head.weight[0] / judge.spread
    model.set_output_embeddings(head)
    return LM(model, judge.tokenizer)
