"""How the phrases are read, out of fold: shares by kind and language, for the manifest and the model card."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from services.policy.replies.classifier import KINDS, softmax
from services.policy.replies.reader import ReplyKind, kind_by_probability, kind_by_rule
from training.replies.phrases import Phrase
from training.replies.train import THRESHOLDS
from training.statistics import wilson_interval

GROUPS = ("stop", "resume", "keep", "complaint", "other", "unclear")
"""The kinds, with complaints apart from what else is other."""
FEW = 30
"""Phrases of a kind and language below which a share says little."""

Counts = Mapping[tuple[str, str], Counter[str]]
"""How often the phrases of a language and a group are read as each kind."""


def shares(phrases: Sequence[Phrase], scores: Sequence[np.ndarray], temperature: float) -> Counts:
    """Each phrase as the reader would read it with these scores."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for phrase, score in zip(phrases, scores, strict=True):
        counts[phrase.language, group(phrase)][read(phrase.text, score, temperature)] += 1
    return counts


def read(text: str, scores: np.ndarray, temperature: float) -> ReplyKind:
    found = kind_by_rule(text)
    return found if isinstance(found, str) else kind_by_probability(found, softmax(scores / temperature), THRESHOLDS)


def group(phrase: Phrase) -> str:
    return "complaint" if phrase.sentence.startswith("complaint") else phrase.kind


def total(counts: Counts, group_name: str, languages: Sequence[str]) -> Counter[str]:
    return sum((counts.get((language, group_name), Counter()) for language in languages), Counter())


def metrics(counts: Counts) -> dict[str, float]:
    """The shares that the aims are about, in English and in all languages."""
    everywhere = sorted({language for language, _ in counts})
    values = {}
    for name, languages in (("en", ["en"]), ("all", everywhere)):
        for group_name, kinds in {
            "stop": ("stop", "unclear", "keep", "other"),
            "complaint": ("stop", "unclear"),
            "keep": ("keep",),
            "resume": ("resume",),
        }.items():
            found = total(counts, group_name, languages)
            for kind in kinds:
                values[f"{name}.{group_name}.{kind}"] = round(found[kind] / max(found.total(), 1), 4)
    return values


def markdown(counts: Counts) -> str:
    """Tables by kind and by language, in percent, with Wilson intervals."""
    languages = sorted({language for language, _ in counts}, key=lambda language: (language != "en", language))
    others = languages[1:]
    lines = [f"| | n | {' | '.join(KINDS)} |", f"|---|---|{'---|' * len(KINDS)}"]
    for name, chosen in (("English", ["en"]), ("other languages", others)):
        for group_name in GROUPS:
            found = total(counts, group_name, chosen)
            lines.append(
                f"| {name}, {group_name} | {found.total()} | {' | '.join(percent(found, kind) for kind in KINDS)} |"
            )
    lines += [
        "",
        "| language | opt-outs | read as stop | read as keep or other | complaints and others | read as "
        "stop | unclear |",
        "|---|---|---|---|---|---|---|",
    ]
    for language in languages:
        stops, rest = (
            total(counts, "stop", [language]),
            total(counts, "other", [language]) + total(counts, "complaint", [language]),
        )
        missed = Counter({"missed": stops["keep"] + stops["other"], "": stops.total() - stops["keep"] - stops["other"]})
        lines.append(
            f"| {language} | {stops.total()} | {percent(stops, 'stop')} | {percent(missed, 'missed')} | {rest.total()}"
            f" | {percent(rest, 'stop')} | {percent(rest, 'unclear')} |"
        )
    return "\n".join(lines)


def percent(counts: Counter[str], kind: str) -> str:
    """ "83.1 (80.9 to 85.2)", in percent."""
    if not (n := counts.total()):
        return ""
    share, low, high = (100 * value for value in wilson_interval(counts[kind] / n, n))
    return f"{share:.1f} ({low:.1f} to {high:.1f})"


def weak_languages(counts: Counts) -> list[str]:
    """Languages in which fewer than half of the opt-outs are read, or with too few phrases to say."""
    stops = {language: counter for (language, name), counter in counts.items() if name == "stop"}
    return sorted(
        language
        for language, counter in stops.items()
        if counter.total() < FEW or counter["stop"] < 0.6 * counter.total()
    )
