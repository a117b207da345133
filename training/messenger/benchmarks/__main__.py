"""Compare with TRL's PPO: python -m training.messenger.benchmarks [--seeds N] [--updates N] …

All learners start with the same SFT model and equal adapters, and train with the same reward model, prompts, number of
texts and of updates, and a constant β; none is penalised for breaking the shield's rules. All learners run with one
seed before the next seed, so that other load on the machine affects them alike. Writes messenger_rivals.json.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.messages import Brief
from training.messenger.benchmarks import text_ppo, trl
from training.messenger.benchmarks.metrics import (
    BenchmarkRewardModel,
    BenchmarkRun,
    TrainedModel,
    benchmark_run,
    evaluate,
    normalise,
    settings,
    summary,
    table,
)
from training.messenger.corpus.corpus import sample_briefs
from training.messenger.lm import LM, load
from training.messenger.ppo import TextPPOArgs, training_briefs

LEARNERS: dict[str, Callable[[LM, BenchmarkRewardModel, Sequence[Brief], TextPPOArgs], TrainedModel]] = {
    "ours": text_ppo.train,
    "trl": trl.train_with_equal_settings,
    "trl_as_in_examples": trl.train_as_in_examples,
}
LIBRARIES = ("torch", "trl", "transformers", "peft", "accelerate", "numpy")


def benchmark(options: Namespace, args: TextPPOArgs) -> Iterator[BenchmarkRun]:
    """The runs, in the order in which they finish."""
    reward_model, sft = BenchmarkRewardModel.from_lm(load(options.reward)), load(options.sft)
    torch.manual_seed(0)
    normalise(reward_model, sft, sample_briefs(np.random.default_rng(41), options.eval_prompts), args.max_new_tokens)
    eval_briefs = sample_briefs(np.random.default_rng(42), options.eval_prompts, held_out=True)
    for seed, (name, train) in product(range(options.seeds), LEARNERS.items()):
        seeded = replace(args, seed=seed)
        trained = train(load(options.sft), reward_model, training_briefs(seeded), seeded)
        metrics = evaluate(trained.lm, sft, reward_model, eval_briefs, args.max_new_tokens)
        yield benchmark_run(name, seed, args.kl_coef, trained, metrics)


def main() -> None:
    parser = ArgumentParser(prog="python -m training.messenger.benchmarks", description="Compare with TRL's PPO.")
    parser.add_argument("--sft", type=Path, default=Path("models/messenger/sft"), help="folder of the SFT model")
    parser.add_argument(
        "--reward", type=Path, default=Path("models/messenger/reward"), help="folder of the reward model"
    )
    parser.add_argument("--updates", type=int, default=10, help="number of rollouts; each is followed by an update")
    parser.add_argument("--texts", type=int, default=TextPPOArgs.batch_size, help="texts in a rollout")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=TextPPOArgs.learning_rate,
        help="initial learning rate of the adapters, decayed linearly to 0",
    )
    parser.add_argument("--beta", type=float, default=TextPPOArgs.kl_coef, help="coefficient of the KL divergence")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each learner")
    parser.add_argument(
        "--fresh",
        dest="eval_prompts",
        type=int,
        default=512,
        help="new prompts to normalise the reward model on, and as many held-out prompts to evaluate on",
    )
    parser.add_argument("--threads", type=int, default=1, help="processor threads")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    args = TextPPOArgs(
        num_updates=options.updates,
        batch_size=options.texts,
        learning_rate=options.learning_rate,
        kl_coef=options.beta,
        rule_penalty=0.0,
    )
    runs = []
    for run in benchmark(options, args):
        runs.append(run)
        speed = f"{run.tokens_per_second:,.0f} tokens per second"
        print(f"{run.name}, seed {run.seed}: {speed}, score {run.score:.2f}, KL {run.kl:.2f}", flush=True)
    report: dict[str, Any] = {
        "threads": options.threads,
        "fresh": options.eval_prompts,
        "seeds": options.seeds,
        "settings": settings(args),
        "versions": {library: version(library) for library in LIBRARIES},
        **summary(runs),
    }
    options.reports.mkdir(parents=True, exist_ok=True)
    (options.reports / "messenger_rivals.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
