"""Fit the classifier, and read every phrase by one that was fitted on none of its paraphrases."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from services.policy.replies.classifier import (
    BLOCK_SCALES,
    HASH_BITS,
    KINDS,
    SENTENCE_END,
    Classifier,
    features,
    softmax,
)
from services.policy.replies.reader import Thresholds, kind_by_rule, phrase_hash, sentences_of
from services.policy.replies.written import written_part
from training.replies.phrases import Phrase
from training.replies.templates import made_phrases

FOLDS = 5
SEED = 0
REGULARIZATION = 3.0
"""Inverse strength C of the L2 penalty."""
THRESHOLDS = Thresholds(stop=0.8, stop_sentence=0.93, resume=0.6, keep=0.6, no_stop=0.12, keep_stop=0.98, no_keep=0.4)
"""Chosen out of fold. A higher `no_stop` leaves less unclear, and takes more opt-outs for something else."""
JOINTS = ("\n", " ", ", ", "\n")
"""What stands between two phrases of one customer."""
ENGLISH_JOINTS = (*JOINTS, ", but ", " but ", " and ")


def matrix(texts: Sequence[str]) -> csr_matrix:
    """[texts, 2 ** HASH_BITS]: what `Classifier.probabilities` multiplies by its weights."""
    data, indices, ends = [], [], [0]
    for text in texts:
        blocks = [block for block, _ in features(text)]
        data += [
            np.full(len(block), scale / max(len(block), 1) ** 0.5, np.float32)
            for block, scale in zip(blocks, BLOCK_SCALES, strict=True)
        ]
        indices += blocks
        ends.append(ends[-1] + sum(map(len, blocks)))
    rows = csr_matrix(
        (np.concatenate(data), np.concatenate(indices).astype(np.int32), ends), (len(texts), 2**HASH_BITS)
    )
    rows.sum_duplicates()
    return rows


def normalized(phrase: Phrase) -> str:
    """The phrase as the reader gives it to the classifier; whole, if a machine wrote it."""
    return SENTENCE_END.join(sentences_of(written_part(phrase.text).text) or sentences_of(phrase.text)) or phrase.text


def joined(phrases: Sequence[Phrase], texts: Sequence[str], rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Phrases joined at random with one about something else in the same language, and their kinds.

    An opt-out beside anything else stays one.
    """
    others = defaultdict(list)
    for phrase, text in zip(phrases, texts, strict=True):
        if phrase.kind == "other":
            others[phrase.language].append(text)
    joined_texts, kinds = [], []
    for phrase, text in zip(phrases, texts, strict=True):
        if phrase.kind in ("stop", "other") and others[phrase.language]:
            pair = [text, str(rng.choice(others[phrase.language]))]
            rng.shuffle(pair)
            joined_texts.append(str(rng.choice(ENGLISH_JOINTS if phrase.language == "en" else JOINTS)).join(pair))
            kinds.append(KINDS.index(phrase.kind))
    return joined_texts, kinds


def fit(phrases: Sequence[Phrase], texts: Sequence[str], rows: csr_matrix, seed: int = SEED) -> Classifier:
    """A classifier with a temperature of one; `rows` are the `matrix` of the normalised `texts` of the phrases."""
    made = list(made_phrases(seed))
    made_texts = [normalized(phrase) for phrase in made]
    more_texts, more_kinds = joined([*phrases, *made[::4]], [*texts, *made_texts[::4]], np.random.default_rng(seed))
    more_texts, more_kinds = more_texts + made_texts, more_kinds + [KINDS.index(phrase.kind) for phrase in made]
    inputs = vstack([rows, matrix(more_texts)]).tocsr()
    columns = np.unique(inputs.indices)
    kinds = np.array([*(KINDS.index(phrase.kind) for phrase in phrases), *more_kinds])
    model = LogisticRegression(C=REGULARIZATION, max_iter=200, tol=1e-3).fit(inputs[:, columns], kinds)
    weights = np.zeros((2**HASH_BITS, len(KINDS)), np.float32)
    weights[columns] = model.coef_.T
    return Classifier(weights, model.intercept_.astype(np.float32), 1.0)


def out_of_fold(phrases: Sequence[Phrase], texts: Sequence[str], rows: csr_matrix) -> list[np.ndarray]:
    """Scores [1 + sentences, kinds] of each phrase by a classifier that saw no paraphrase of it."""
    kinds = [phrase.kind for phrase in phrases]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(
        rows, kinds, [phrase.sentence for phrase in phrases]
    )
    scores: list[np.ndarray] = [np.empty(0)] * len(phrases)
    for train, test in folds:
        model = fit([phrases[i] for i in train], [texts[i] for i in train], rows[train])
        for i in test:
            scores[i] = model.scores(texts[i].split(SENTENCE_END))
    return scores


def calibrated(classifier: Classifier, phrases: Sequence[Phrase], scores: Sequence[np.ndarray]) -> Classifier:
    """The classifier with the temperature under which the out-of-fold scores have the least log loss."""
    whole, rows = np.array([score[0] for score in scores]), np.arange(len(scores))
    kinds = np.array([KINDS.index(phrase.kind) for phrase in phrases])

    def log_loss(temperature: float) -> float:
        return float(-np.log(softmax(whole / temperature)[rows, kinds]).mean())

    return replace(classifier, temperature=float(minimize_scalar(log_loss, bounds=(0.2, 5), method="bounded").x))


def labelled_kinds(phrases: Sequence[Phrase]) -> dict[int, str]:
    """The kind of each phrase by its hash; phrases with two kinds, in two languages, are left out."""
    kinds = defaultdict(set)
    for phrase in phrases:
        if not isinstance(sentences := kind_by_rule(phrase.text), str):
            kinds[phrase_hash(sentences)].add(phrase.kind)
    return {number: kind for number, (kind, *more) in sorted(kinds.items()) if not more}
