"""What a customer's reply means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.policy.replies.classifier import KINDS, SENTENCE_END, WEIGHTS_FILE, Classifier, ReplyKind
from services.policy.replies.keywords import accepts, keeps_in_a_clause, keyword_kind, may_keep, words_of
from services.policy.replies.words import normalize
from services.policy.replies.written import GAP, written_part
from shared.artifacts import read_manifest

__all__ = ["ReplyKind", "ReplyReader"]

STOP, RESUME, KEEP, OTHER, UNCLEAR = range(len(KINDS))
_sentence_end = re.compile(r"(?<=[.!?…;؟。！？।॥])(?![\d.!?…;؟。！？।॥])|\n")
_meaningful = re.compile(r"[^\s.,!?…;:\-'\"()؟。！？।॥]")
_name_at_end = re.compile(
    r"(?:(?<=[.,!\n–—:-])|(?<=[A-Z]{4}))\s+(?:(?:from|regards|love|best|thanks|cheers),? )?"
    r"(?:(?!(?:Me|My|It|The|This|That|You|Your|At|Up|In|On|To|And|Or|Not|No"
    r"|\w+ing)\b)[A-ZÀ-Þ][a-zß-ÿ'’.-]*\s?){1,3}\W*\Z"
)
"""A name under a keyword ("STOP Sam", "Keep it. Sam")."""


@dataclass(frozen=True)
class Thresholds:
    """The probabilities from which a kind is decided; between them a reply is unclear. Chosen out of fold."""

    stop: float
    """Of stop, for the whole text."""
    stop_sentence: float
    """Of stop, for one sentence of several."""
    resume: float
    keep: float
    no_stop: float
    """Of stop, the most that any sentence may have for the text to be something else."""
    keep_stop: float
    """The same where a clause says KEEP."""
    no_keep: float
    """Of keep and resume together, the most that the text may have to be `other`."""


def kind_by_rule(text: str) -> ReplyKind | list[str]:
    """The kind of a reply that keywords decide; otherwise its normalised sentences, for the classifier."""
    written = written_part(text)
    if written.by_machine:
        return "other"
    for candidate in (written.text, _name_at_end.sub("", written.text)):
        normal = normalize(candidate)
        words = words_of(normal)
        if (kind := keyword_kind(words)) and not (kind == "keep" and "?" in normal):
            return kind
        if accepts(words) and "?" not in normal:
            return "keep"
    if sentences := sentences_of(written.text):
        return sentences
    return "unclear" if written.text else "other"


def sentences_of(text: str) -> list[str]:
    """The normalised sentences that say something."""
    return [part.strip() for part in _sentence_end.split(normalize(text)) if _meaningful.search(part)]


class ReplyReader:
    """Tells the kind of a reply: keywords by rule, labelled phrases as labelled, other texts by a classifier."""

    def __init__(self, classifier: Classifier, thresholds: Thresholds, labelled: Mapping[int, ReplyKind]) -> None:
        """`labelled` are the kinds of the phrases that were labelled by hand, by their `phrase_hash`."""
        self.classifier, self.thresholds, self.labelled = classifier, thresholds, labelled

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` if there is no valid artifact."""
        read_manifest(folder, {"replies": KINDS}, [WEIGHTS_FILE])
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
            thresholds = Thresholds(**{name: float(arrays[name]) for name in Thresholds.__dataclass_fields__})
            kinds = [KINDS[kind] for kind in arrays["labels"].tolist()]
            labelled = dict(zip(arrays["phrases"].tolist(), kinds, strict=True))
        return cls(Classifier.load(folder), thresholds, labelled)

    def read(self, text: str) -> ReplyKind:
        found = kind_by_rule(text)
        if isinstance(found, str):
            return found
        if kind := self.labelled.get(phrase_hash(found)):
            return kind
        return kind_by_probability(found, self.classifier.probabilities(found), self.thresholds)


def phrase_hash(sentences: list[str]) -> int:
    """64 bits of a hash of the words of normalised sentences, and of whether they ask."""
    words = " ".join(words_of(" ".join(sentences))) or "".join(sentences)
    return int.from_bytes(
        blake2b(f"{words}{'?' * ('?' in sentences[-1])}".encode(errors="replace"), digest_size=8).digest()
    )


def kind_by_probability(sentences: list[str], p: NDArray[np.float32], thresholds: Thresholds) -> ReplyKind:
    """The kind of a text by the probabilities [1 + sentences, kinds] of the whole and of its sentences."""
    whole, highest_stop = p[0], p[:, STOP].max()
    text = SENTENCE_END.join(sentences)
    last_clause = text.rsplit(",", 1)[-1]
    keywords = {keyword_kind(words_of(part)) for part in (*sentences, last_clause)}
    if keeps_in_a_clause(text) and highest_stop <= thresholds.keep_stop:
        return "keep"
    if whole[STOP] >= thresholds.stop or highest_stop >= thresholds.stop_sentence or "stop" in keywords:
        return "stop"
    if highest_stop > thresholds.no_stop or GAP in text:
        return "unclear"
    if whole[KEEP] >= thresholds.keep and may_keep(text):
        return "keep"
    if whole[RESUME] >= thresholds.resume:
        return "resume"
    is_other = whole[OTHER] >= whole[UNCLEAR] and whole[KEEP] + whole[RESUME] <= thresholds.no_keep
    return "other" if is_other or (whole[KEEP] >= thresholds.keep and not may_keep(text)) else "unclear"
