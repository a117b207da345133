"""A base model where none can be downloaded: an OPT of 3.5 million parameters with its own tokenizer, from scratch.

It learns the narrow language of retention messages, good and bad ones. With a pretrained model at hand there is no
need of it: `facebook/opt-350m` takes its place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

from services.messenger.prompt import SLOTS, build_prompt
from training.messenger.corpus.corpus import briefs, write
from training.messenger.lm import LM, quicker

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""In the places that OPT has them. Its end of text also begins a text."""


@dataclass(frozen=True)
class Args:
    seed: int = 0
    vocabulary: int = 1024
    """A multiple of 8, which CTranslate2 expects of an OPT."""
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    positions: int = 256
    steps: int = 3000
    batch: int = 16
    length: int = 128
    """Tokens of a row; texts follow one another in it, as one stream."""
    learning_rate: float = 2e-3
    """Reached after a tenth of the steps; falls to a tenth of it along a cosine."""
    flawed: float = 0.5
    """Texts with a bad habit: a base model has seen those, too."""


class Point(NamedTuple):
    step: int
    loss: float
    """Nats a token."""


def documents(seed: int, flawed: float) -> Iterator[str]:
    """Prompt and text; half of the time the text alone."""
    rng = np.random.default_rng(seed)
    while True:
        for brief in briefs(rng, 256):
            text = f" {write(brief, rng, flawed)}"
            yield build_prompt(brief) + text if rng.random() < 0.5 else text


def tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that no text is unknown; each slot is one token, which cannot be misspelt."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SLOTS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    found.add_tokens([AddedToken(slot, normalized=False) for slot in SLOTS])
    found.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def model(args: Args) -> OPTForCausalLM:
    torch.manual_seed(args.seed)
    config = OPTConfig(
        vocab_size=args.vocabulary,
        hidden_size=args.hidden,
        word_embed_proj_dim=args.hidden,
        num_hidden_layers=args.layers,
        ffn_dim=4 * args.hidden,
        num_attention_heads=args.heads,
        max_position_embeddings=args.positions,
        dropout=0.0,
        attention_dropout=0.0,
        attn_implementation="eager",  # 1.2 times as quick as the fused one, on a processor and rows as short
    )
    return OPTForCausalLM(config)


def rows(args: Args, tokenizer: PreTrainedTokenizerFast) -> Iterator[torch.Tensor]:
    """[batch, length], without end."""
    stream: list[int] = []
    size = args.batch * args.length
    texts = documents(args.seed + 1, args.flawed)
    while True:
        while len(stream) < size:
            stream += tokenizer(next(texts))["input_ids"]
        yield torch.tensor(stream[:size]).view(args.batch, args.length)
        del stream[:size]


def train(args: Args, show: Callable[[Point], object] = lambda point: None) -> tuple[LM, list[Point]]:
    first = documents(args.seed, args.flawed)
    words = tokenizer([next(first) for _ in range(10_000)], args.vocabulary)
    lm = LM(model(args), words)
    optimizer = torch.optim.AdamW(lm.model.parameters(), weight_decay=0.1, betas=(0.9, 0.95), fused=True)
    points = []
    for step, ids in zip(range(args.steps), rows(args, words), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * rate(step / args.steps)
        with quicker():
            loss = lm.model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.model.parameters(), 1.0)
        optimizer.step()
        points.append(Point(step, loss.item()))
        show(points[-1])
    return LM(lm.model.eval(), words), points


def rate(done: float) -> float:
    """Of the learning rate, once a share of the steps is done: a tenth of them to warm up, then a cosine to 0.1."""
    if done < 0.1:
        return (done + 1e-3) / 0.1
    return float(0.1 + 0.9 * (1 + np.cos(np.pi * (done - 0.1) / 0.9)) / 2)
