"""Train the reader of replies: python -m training.replies [--phrases FILE] [--out DIR]"""

from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

from shared.artifacts import ARTIFACTS, Manifest
from training.command_line import add_options, from_options
from training.replies.artifact import write_artifact
from training.replies.phrases import PHRASES, read_phrases
from training.replies.report import shares
from training.replies.train import calibrated, fit, matrix, normalized, out_of_fold


@dataclass(frozen=True)
class RepliesArgs:
    phrases: Path = PHRASES
    """File of labelled phrases."""
    out: Path = ARTIFACTS / "replies"
    """Folder of the artifact."""


def train(args: RepliesArgs) -> Manifest:
    """Train on all phrases, and report how each is read by a model that saw no sentence of its kind."""
    phrases = read_phrases(args.phrases)
    texts = [normalized(phrase) for phrase in phrases]
    rows = matrix(texts)
    scores = out_of_fold(phrases, texts, rows)
    classifier = calibrated(fit(phrases, texts, rows), phrases, scores)
    report = shares(phrases, scores, classifier.temperature)
    return write_artifact(classifier, phrases, args.phrases, report, args.out)


def main() -> None:
    parser = ArgumentParser(prog="python -m training.replies", description=__doc__.partition(":")[0])
    add_options(parser, RepliesArgs)
    args = from_options(RepliesArgs, parser.parse_args())
    manifest = train(args)
    for name, value in manifest.metrics.items():
        print(f"{name:32} {value:.4f}")
    print(f"version {manifest.version} is in {args.out}")


if __name__ == "__main__":
    main()
