"""The reader of replies is made from its phrases, and its artifact is what they make."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from services.policy.replies.classifier import KINDS, Classifier, softmax
from services.policy.replies.reader import ReplyReader
from services.policy.replies.words import normalize
from shared.artifacts import ARTIFACTS, read_manifest, sha256
from training.replies.artifact import quantized
from training.replies.phrases import PHRASES, Phrase, read_phrases
from training.replies.report import markdown, metrics, shares
from training.replies.templates import made_phrases
from training.replies.train import calibrated, matrix, normalized

FOLDER = ARTIFACTS / "replies"


def test_there_are_at_least_three_thousand_phrases_of_every_kind() -> None:
    phrases = read_phrases()
    assert len(phrases) >= 3_000
    assert {phrase.kind for phrase in phrases} == set(KINDS)
    assert len({phrase.language for phrase in phrases}) >= 20


def test_no_phrase_is_there_twice_and_none_has_two_kinds() -> None:
    seen = Counter(
        (phrase.language, " ".join(normalize(phrase.text).split()).strip(" .!")) for phrase in read_phrases()
    )
    assert not [text for text, times in seen.items() if times > 1]


def test_a_sentence_is_of_one_kind() -> None:
    """The split by sentence then keeps paraphrases together."""
    kinds = defaultdict(set)
    for phrase in read_phrases():
        kinds[phrase.sentence].add(phrase.kind)
    assert sum(len(found) > 1 for found in kinds.values()) <= 0.02 * len(kinds)


@pytest.mark.parametrize("line", ["en\tstop\tx", "en\thalt\tx\tstop", "en\tstop\t\tstop"])
def test_an_invalid_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "phrases.tsv").write_text(f"language\tkind\tsentence\ttext\n{line}\n")
    with pytest.raises(ValueError, match="line 2"):
        read_phrases(tmp_path / "phrases.tsv")


def test_the_artifact_was_made_from_these_phrases_and_is_small() -> None:
    manifest = read_manifest(FOLDER, {"replies": KINDS})
    assert manifest.data_sha256 == {PHRASES.name: sha256(PHRASES)}
    assert (FOLDER / "weights.npz").stat().st_size < 1_000_000
    assert manifest.version in (FOLDER / "MODEL_CARD.md").read_text()


def test_the_figures_out_of_fold_get_no_worse() -> None:
    measured = read_manifest(FOLDER, {"replies": KINDS}).metrics
    assert measured["all.stop.keep"] <= 0.001
    assert measured["en.stop.other"] <= 0.015
    assert measured["all.stop.other"] <= 0.017
    assert measured["en.complaint.stop"] <= 0.04


def test_training_multiplies_what_serving_looks_up() -> None:
    """Scores by the sparse matrix equal those of the served classifier."""
    rng = np.random.default_rng(0)
    reader = ReplyReader.load(FOLDER).classifier
    texts = [
        normalized(phrase)
        for phrase in rng.permutation(np.array(read_phrases(), object))[:50].tolist() and read_phrases()[:50]
    ]
    served = np.array([reader.scores(text.split("\n"))[0] for text in texts])
    assert served == pytest.approx(matrix(texts) @ reader.weights + reader.bias, abs=1e-4)


def test_eight_bits_change_no_weight_by_more_than_half_a_step() -> None:
    weights = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    in_8_bits, scale = quantized(weights)
    assert np.abs(in_8_bits * scale - weights).max() <= scale.max() / 2 + 1e-6


def test_the_temperature_makes_overconfident_scores_honest() -> None:
    phrases = [Phrase("en", kind, kind, kind) for kind in ("stop", "stop", "stop", "other")]
    scores = [np.array([[6.0, 0, 0, 0, 0]], np.float32)] * 4
    classifier = Classifier(np.zeros((1, 5), np.float32), np.zeros(5, np.float32), 1.0)
    temperature = calibrated(classifier, phrases, scores).temperature
    assert temperature > 1
    assert softmax(scores[0][0] / temperature)[0] == pytest.approx(0.68, abs=0.1)


def test_made_sentences_are_the_same_each_time() -> None:
    assert list(made_phrases(0)) == list(made_phrases(0))
    assert not any("{" in phrase.text for phrase in made_phrases(0))


def test_the_report_counts_each_phrase_once() -> None:
    phrases = [Phrase("en", "stop", "a", "jog on, you"), Phrase("en", "other", "complaint-x", "it rains")]
    sure = np.array([[9.0, 0, 0, 0, 0]] * 2, np.float32)
    counts = shares(phrases, [sure, sure], 1.0)
    assert metrics(counts)["en.stop.stop"] == 1
    assert metrics(counts)["en.complaint.stop"] == 1
    assert "| English, complaint | 1 | 100.0" in markdown(counts)
