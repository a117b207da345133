"""A linear classifier of sentences: multinomial logistic regression on hashed n-grams of characters and words.

Features are hashed (Weinberger and others 2009), so that any script is read and the model has a fixed size. The
probabilities are calibrated by a temperature (Guo and others 2017).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.policy.replies.concepts import concepts

ReplyKind = Literal["stop", "resume", "keep", "other", "unclear"]
"""What a reply asks for: no more messages (`stop`), messages again after a stop (`resume`), or the offer (`keep`).
`other` is plainly about something else, and `unclear` is for a person to decide."""

WEIGHTS_FILE = "weights.npz"
HASH_BITS = 17
"""The model has 2 ** HASH_BITS features."""
NGRAM_LENGTHS = (1, 2, 3, 4, 5)
"""Characters of an n-gram, blanks included."""
CONCEPT_NGRAM_LENGTHS = (1, 2, 3, 4)
BLOCK_SCALES = (1.0, 1.0, 1.5)
"""Lengths of the three blocks of features of a text."""
KINDS: tuple[ReplyKind, ...] = ("stop", "resume", "keep", "other", "unclear")
"""Columns of the weights."""
SENTENCE_END = "\n"

_PRIME, _MIX = np.uint32(0x01000193), np.uint32(0x9E3779B1)
_PAIR_PRIMES = tuple(np.uint32(prime) for prime in (0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1, 0x9E3779B1))
_LONGEST = 8_192
"""Characters that can be read at once."""
_POWERS = np.power(np.full(_LONGEST, _PRIME, np.uint32), np.arange(_LONGEST, dtype=np.uint32), dtype=np.uint32)
_INVERSE_POWERS = np.power(
    np.full(_LONGEST, pow(int(_PRIME), -1, 2**32), np.uint32), np.arange(_LONGEST, dtype=np.uint32), dtype=np.uint32
)
_shift = np.uint32(32 - HASH_BITS)

Features = tuple[NDArray[np.uint32], NDArray[np.intp]]
"""Indices of features, and the number of the sentence in which each starts."""


def features(text: str) -> tuple[Features, ...]:
    """Three blocks, of a normalised text: n-grams of its characters; its words, and pairs of near ones; n-grams of its
    concepts, and pairs of near ones."""
    codes = _codes(f" {text} ")
    named = _codes(concepts(text))
    (ngrams, ngrams_at), (pairs, pairs_at) = (
        _ngrams(named, CONCEPT_NGRAM_LENGTHS, 16),
        _pairs(named, (2, 3, 4), np.arange(len(named))),
    )
    blocks = (
        (codes, *_ngrams(codes, NGRAM_LENGTHS, 0)),
        (codes, *_words(codes)),
        (named, np.concatenate((ngrams, pairs)), np.concatenate((ngrams_at, pairs_at))),
    )
    return tuple(
        (indices, np.cumsum(characters == ord(SENTENCE_END))[positions]) for characters, indices, positions in blocks
    )


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)[:_LONGEST]


def _ngrams(codes: NDArray[np.uint32], lengths: tuple[int, ...], seed: int) -> Features:
    indices, positions, rolling = [], [], np.zeros(len(codes) + 1, np.uint32)
    for length in lengths:
        rolling = rolling[:-1] * _PRIME + codes[length - 1 :]
        indices.append(((rolling ^ np.uint32(seed + length)) * _MIX) >> _shift)
        positions.append(np.arange(len(rolling)))
    return np.concatenate(indices), np.concatenate(positions)


def _words(codes: NDArray[np.uint32]) -> Features:
    """Each word is hashed as the difference of two sums over its text, which takes no loop."""
    is_blank = codes <= 32
    starts, ends = np.flatnonzero(is_blank[:-1] & ~is_blank[1:]) + 1, np.flatnonzero(~is_blank[:-1] & is_blank[1:]) + 1
    sums = np.concatenate(([np.uint32(0)], np.cumsum(codes * _POWERS[: len(codes)], dtype=np.uint32)))
    words = (sums[ends] - sums[starts]) * _INVERSE_POWERS[starts]
    pairs, pairs_at = _pairs(words, (1, 2, 3), starts)
    return np.concatenate(((words * _PAIR_PRIMES[0]) >> _shift, pairs)), np.concatenate((starts, pairs_at))


def _pairs(tokens: NDArray[np.uint32], distances: tuple[int, ...], positions: NDArray[np.intp]) -> Features:
    indices = [((tokens[:-d] * _PAIR_PRIMES[d] ^ tokens[d:]) * _MIX) >> _shift for d in distances]
    return np.concatenate(indices), np.concatenate([positions[:-d] for d in distances])


@dataclass(frozen=True)
class Classifier:
    """The probabilities of the kinds of a reply."""

    weights: NDArray[np.float32]
    """[2 ** HASH_BITS, kinds]"""
    bias: NDArray[np.float32]
    """[kinds]"""
    temperature: float

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
            weights = arrays["weights"].astype(np.float32) * arrays["scale"]
            return cls(weights, arrays["bias"], float(arrays["temperature"]))

    def probabilities(self, sentences: list[str]) -> NDArray[np.float32]:
        """[1 + sentences, kinds]: of the whole text, then of each of its normalised sentences."""
        return softmax(self.scores(sentences) / self.temperature)

    def scores(self, sentences: list[str]) -> NDArray[np.float32]:
        """The logarithms of `probabilities` before calibration, but for a constant."""
        scores = np.zeros((1 + len(sentences), len(KINDS)), np.float32)
        for (indices, sentence_of), scale in zip(features(SENTENCE_END.join(sentences)), BLOCK_SCALES, strict=True):
            weights = self.weights[indices]
            scores[0] += weights.sum(0) * (scale / max(len(indices), 1) ** 0.5)
            if len(sentences) > 1:
                sums, counts = (
                    np.zeros((len(sentences), len(KINDS)), np.float32),
                    np.bincount(sentence_of, minlength=len(sentences)),
                )
                np.add.at(sums, sentence_of, weights)
                scores[1:] += sums * (scale / np.sqrt(np.maximum(counts, 1)))[:, None]
        if len(sentences) == 1:
            scores[1] = scores[0]
        return scores + self.bias


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    """Along the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)  # type: ignore[no-any-return]
