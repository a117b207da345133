"""Base model: an OPT of 3.5 million parameters with its own tokenizer, trained from scratch on the synthetic corpus.

It learns the narrow language of retention messages, good and bad ones. A pretrained model such as `facebook/opt-350m`
replaces it where one can be downloaded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

from services.messenger.prompt import SLOTS, build_prompt
from training import command_line
from training.messenger import stages
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.lm import LM, bf16_autocast, save

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
"""Special tokens in the order of their ids in OPT. As in OPT, the end-of-text token also begins a text."""
TOKENIZER_DOCUMENTS = 10_000
"""Documents that the tokenizer is trained on."""


@dataclass(frozen=True)
class BaseArgs:
    seed: int = 0
    """Seed of weights and corpus."""
    vocab_size: int = 1024
    """Size of the vocabulary; CTranslate2 needs a multiple of 8 for an OPT."""
    hidden_size: int = 256
    """Width of the hidden states."""
    num_hidden_layers: int = 4
    """Number of transformer blocks."""
    num_attention_heads: int = 4
    """Attention heads in each block."""
    max_position_embeddings: int = 256
    """Length of the longest sequence, in tokens."""
    steps: int = 3000
    """Optimizer steps."""
    batch_size: int = 16
    """Sequences in a batch."""
    block_size: int = 128
    """Tokens of a sequence; documents follow one another in it, as one stream."""
    learning_rate: float = 2e-3
    """Peak learning rate, with warm-up and cosine decay."""
    flawed_share: float = 0.5
    """Share of the messages with a flaw: the model sees bad messages, too."""


class BaseMetrics(NamedTuple):
    step: int
    loss: float
    """Nats per token."""


def documents(seed: int, flawed_share: float) -> Iterator[str]:
    """An endless stream of documents: a message after its prompt, or with probability 1/2 the message alone."""
    rng = np.random.default_rng(seed)
    while True:
        for brief in sample_briefs(rng, 256):
            text = f" {write_message(brief, rng, flawed_share)}"
            yield build_prompt(brief) + text if rng.random() < 0.5 else text


def train_tokenizer(texts: Sequence[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that no text is unknown; each slot is one token, which cannot be misspelt."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SLOTS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(slot, normalized=False) for slot in SLOTS])
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def build_model(args: BaseArgs) -> OPTForCausalLM:
    torch.manual_seed(args.seed)
    config = OPTConfig(
        vocab_size=args.vocab_size,
        hidden_size=args.hidden_size,
        word_embed_proj_dim=args.hidden_size,
        num_hidden_layers=args.num_hidden_layers,
        ffn_dim=4 * args.hidden_size,
        num_attention_heads=args.num_attention_heads,
        max_position_embeddings=args.max_position_embeddings,
        dropout=0.0,
        attention_dropout=0.0,
        attn_implementation="eager",  # on a CPU, 1.2 times as fast as the fused one for sequences this short
    )
    return OPTForCausalLM(config)


def token_blocks(args: BaseArgs, tokenizer: PreTrainedTokenizerFast) -> Iterator[torch.Tensor]:
    """Endless batches [batch_size, block_size] of the documents' tokens."""
    stream: list[int] = []
    size = args.batch_size * args.block_size
    texts = documents(args.seed + 1, args.flawed_share)
    while True:
        while len(stream) < size:
            stream += tokenizer(next(texts))["input_ids"]
        yield torch.tensor(stream[:size]).view(args.batch_size, args.block_size)
        del stream[:size]


def train(
    args: BaseArgs, on_step: Callable[[BaseMetrics], object] = lambda metrics: None
) -> tuple[LM, list[BaseMetrics]]:
    texts = documents(args.seed, args.flawed_share)
    tokenizer = train_tokenizer([next(texts) for _ in range(TOKENIZER_DOCUMENTS)], args.vocab_size)
    lm = LM(build_model(args), tokenizer)
    optimizer = torch.optim.AdamW(lm.model.parameters(), weight_decay=0.1, betas=(0.9, 0.95), fused=True)
    history = []
    for step, ids in zip(range(args.steps), token_blocks(args, tokenizer), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * warmup_cosine(step / args.steps)
        with bf16_autocast():
            loss = lm.model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lm.model.parameters(), 1.0)
        optimizer.step()
        history.append(BaseMetrics(step, loss.item()))
        on_step(history[-1])
    return LM(lm.model.eval(), tokenizer), history


def warmup_cosine(progress: float) -> float:
    """Factor of the peak learning rate at a share of the steps: warm-up over a tenth of them, then a cosine to 0.1."""
    if progress < 0.1:
        return (progress + 1e-3) / 0.1
    return float(0.1 + 0.9 * (1 + np.cos(np.pi * (progress - 0.1) / 0.9)) / 2)


def run(args: BaseArgs, models: Path) -> LM:
    """Train the base model and save it to `models`/base."""
    with (progress := stages.Progress("base", args.steps)) as on_step:
        lm, _ = train(args, on_step)
    save(lm, models / "base")
    stages.save_history(models, "base", progress.history())
    return lm


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser("base", "Train the base model from scratch.")
    command_line.add_options(parser, BaseArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    run(command_line.from_options(BaseArgs, options), options.models)
    print(f"the base model is in {options.models / 'base'}; next: python -m training.messenger.sft")


if __name__ == "__main__":
    main()
