"""Export: write the artifact that the messenger service loads, from the models of the stages.

The policy and the reward model in 8 bits for CTranslate2; samples of the SFT model, to compare with; the histories, a
model card and a manifest.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.messenger.artifact import INPUTS, REWARD_FOLDER, TOKENIZER_FILE, WRITER_FOLDER
from shared.artifacts import ARTIFACTS, Manifest, content_version, write_manifest
from training import command_line
from training.data.sources import HH_RLHF
from training.messenger import stages
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.ctranslate import convert, generate
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import CUSTOMERS, assess
from training.messenger.evaluation.card import card

HISTORY_FILE, SAMPLES_FILE = "training.json", "sft.jsonl"
STAGES = ("base", "people", "sft", "reward", "ppo")
"""Keys of training.json, in order."""


@dataclass(frozen=True)
class ExportArgs:
    seed: int = 0
    """Seed of the held-out briefs and of the SFT model's samples."""
    eval_prompts: int = 1_000
    """Held-out prompts on which PPO is compared with SFT."""
    max_new_tokens: int = 64
    """Tokens of a sample, its end-of-text token included."""
    customers: int = CUSTOMERS
    """Customers whose messages go through messenger and shield."""


def run(args: ExportArgs, models: Path, artifacts: Path = ARTIFACTS, pretrained: bool = False) -> Manifest:
    """Write the artifact; a `pretrained` model has no base stage to report. Raises `MissingStageError`."""
    history = {stage: stages.load_history(models, stage) for stage in STAGES[pretrained:]}
    policy, reward_model, sft = (stages.load_model(models, stage) for stage in ("ppo", "reward", "sft"))
    briefs = sample_briefs(np.random.default_rng(args.seed + 32), args.eval_prompts, held_out=True)
    [texts] = generate(sft, briefs, args.max_new_tokens, seed=args.seed)
    samples = [
        {"brief": brief.model_dump(mode="json"), "text": text} for brief, text in zip(briefs, texts, strict=True)
    ]
    folder = artifacts / "messenger"
    shutil.rmtree(folder, ignore_errors=True)
    convert(policy, folder / WRITER_FOLDER)
    convert(reward_model, folder / REWARD_FOLDER)
    policy.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / SAMPLES_FILE).write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))
    (folder / HISTORY_FILE).write_text(json.dumps(history))
    manifest = Manifest(
        version=content_version({str(file): file.read_bytes() for file in sorted(folder.rglob("model.bin"))}),
        made_by="make train-messenger",
        inputs=INPUTS,
        data_sha256={copy.path: copy.sha256 for copy in HH_RLHF.mirror_files},
        metrics=training_metrics(history),
    )
    write_manifest(folder, manifest)
    quality = report.manifest_metrics(assess(artifacts, args.customers))
    manifest = manifest.model_copy(update={"metrics": manifest.metrics | quality})
    (folder / "MODEL_CARD.md").write_text(card(manifest))
    return write_manifest(folder, manifest)


def training_metrics(history: Mapping[str, Any]) -> dict[str, float]:
    """The most important metrics of training, for the manifest."""
    metrics = {
        "rm_accuracy": history["reward"]["accuracy"],
        "rm_ceiling": history["reward"]["ceiling"],
        "rm_people_accuracy": history["people"]["accuracy"],
        "rm_people_longer": history["people"]["longer"],
        "kl_mean": history["ppo"]["kl_of_last_half"],
        "kl_target": history["ppo"]["target"],
        "ppo_tokens_per_second": history["ppo"]["tokens_per_second"],
        **{f"{stage}_seconds": history[stage]["took"] for stage in STAGES if stage in history},
    }
    return {name: round(float(value), 4) for name, value in metrics.items()}


def print_summary(manifest: Manifest, artifacts: Path) -> None:
    print(*(f"{name:24} {value:.4f}" for name, value in manifest.metrics.items()), sep="\n")
    print(f"version {manifest.version} is in {artifacts / 'messenger'}; evaluate it: make eval-messenger")


def main(argv: Sequence[str] | None = None) -> None:
    parser = stages.stage_parser(
        "export", "Write the artifact that the messenger service loads, from the models of the stages."
    )
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS, help="folder of the artifacts")
    parser.add_argument(
        "--pretrained", action="store_true", help="SFT began with a pretrained model, not with a base model"
    )
    command_line.add_options(parser, ExportArgs)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    try:
        manifest = run(
            command_line.from_options(ExportArgs, options), options.models, options.artifacts, options.pretrained
        )
    except stages.MissingStageError as error:
        sys.exit(str(error))
    print_summary(manifest, options.artifacts)


if __name__ == "__main__":
    main()
