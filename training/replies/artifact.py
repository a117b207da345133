"""The artifact: weights in 8 bits, temperature and thresholds, with manifest and model card."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from services.policy.replies.classifier import KINDS, WEIGHTS_FILE, Classifier
from shared.artifacts import Manifest, content_version, sha256, write_manifest
from training.replies.phrases import Phrase
from training.replies.report import Counts, markdown, metrics, weak_languages
from training.replies.train import FOLDS, THRESHOLDS, labelled_kinds

CARD_FILE = "MODEL_CARD.md"


def quantized(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [features, kinds] in 8 bits, and the scale of each kind [kinds]."""
    scale = (np.abs(weights).max(0) / 127).astype(np.float32)
    return np.round(weights / scale).astype(np.int8), scale


def write_artifact(
    classifier: Classifier, phrases: Sequence[Phrase], phrase_file: Path, counts: Counts, out: Path
) -> Manifest:
    """Write the artifact into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    weights, scale = quantized(classifier.weights)
    labelled = labelled_kinds(phrases)
    arrays = {
        "weights": weights,
        "scale": scale,
        "bias": classifier.bias,
        "temperature": np.array(classifier.temperature),
        "phrases": np.array(list(labelled), np.uint64),
        "labels": np.array([KINDS.index(kind) for kind in labelled.values()], np.uint8),
    } | {name: np.array(value) for name, value in asdict(THRESHOLDS).items()}
    np.savez_compressed(out / WEIGHTS_FILE, **arrays)  # type: ignore[arg-type]
    manifest = Manifest(
        version=content_version({name: np.asarray(array).tobytes() for name, array in arrays.items()}),
        made_by="make train-replies",
        inputs={"replies": KINDS},
        data_sha256={phrase_file.name: sha256(phrase_file)},
        metrics=metrics(counts),
    )
    (out / CARD_FILE).write_text(card(manifest, phrases, counts))
    return write_manifest(out, manifest)


def card(manifest: Manifest, phrases: Sequence[Phrase], counts: Counts) -> str:
    kinds = Counter(phrase.kind for phrase in phrases)
    languages = {phrase.language for phrase in phrases}
    sentences = {phrase.sentence for phrase in phrases}
    return f"""# Replies {manifest.version}

Tells what a customer's reply asks for: no more messages (stop), messages again (resume), the offer (keep), something
else (other), or unclear, which is for a person. Keywords are read by rule, and a phrase of the training data as it is
labelled; other texts by multinomial logistic regression on hashed n-grams of characters, words and concepts
(`services/policy/replies`). Made by `{manifest.made_by}`.

## Data

{len(phrases):,} phrases of {len(sentences)} kinds of sentences in {
        len(languages)
    } languages, written for this purpose and
labelled by hand (`training/replies/phrases.tsv`): {", ".join(f"{kinds[kind]:,} {kind}" for kind in KINDS)}.
No customer wrote them. Sentences made from patterns (`training/replies/templates.py`) are trained on beside
them and are not
judged. The patterns were written after the first errors out of fold had been read, and some paraphrase
phrases that are judged.

## Figures

Each phrase is read by a model that saw no sentence of its kind ({
        FOLDS
    }-fold cross-validation over the kinds of sentences),
and by the rules, which were written with these phrases at hand. The sentences from patterns are in every fold, and
thresholds and words were chosen on the same scores: in these respects the figures are too good. That no kind of
sentence is known, and that labelled phrases are not looked up, makes them worse than on replies like the phrases.
An untouched set must judge. Percent, with 95 % Wilson intervals; they treat phrases as independent, which paraphrases
are not, and are too narrow.

{markdown(counts)}

## What is weak

- Opt-outs that name neither messages nor stopping ("jog on", "reported") depend on having been seen.
- Complaints about messages that do not arrive, or about somebody else's, look like opt-outs.
- Fewer than 60 % of opt-outs are read, or there are too few phrases to say, in: {
        ", ".join(weak_languages(counts)) or "none"
    }. What is not read there is unclear.
- Labels are those of the authors; sarcasm, and replies that answer another message than ours, were not tried.
"""
