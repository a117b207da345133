"""Beside TRL's PPO: python -m training.messenger.benchmarks [--sft FOLDER] [--reward FOLDER] [--seeds N] [--updates N]

All begin as the same SFT model, with adapters alike, and learn from the same reward model and prompts, in as many
texts and updates, at a β that stays; nobody is told the shield's rules. First one seed of each, then the next: a busy
minute hits them all. Writes messenger_rivals.json.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.messages import Brief
from training.messenger.benchmarks import theirs
from training.messenger.benchmarks.measure import Judge, Learnt, Outcome, normalise, outcome, summary, table, wrote
from training.messenger.benchmarks.ours import ours
from training.messenger.corpus.corpus import briefs
from training.messenger.lm import LM, load
from training.messenger.ppo import Args

LEARNERS: dict[str, Callable[[LM, Judge, Sequence[Brief], Args], Learnt]] = {
    "ours": ours,
    "trl": theirs.equal,
    "trl_as_in_examples": theirs.as_in_examples,
}
PROMPTS = 4_096
"""To learn from; as many as `training.messenger.train` takes."""
LIBRARIES = ("torch", "trl", "transformers", "peft", "accelerate", "numpy")


def outcomes(args: Namespace, settings: Args) -> Iterator[Outcome]:
    """As they come."""
    judge, sft = Judge.of(load(args.reward)), load(args.sft)
    torch.manual_seed(0)
    normalise(judge, sft, briefs(np.random.default_rng(41), args.fresh), settings.most)
    fresh = briefs(np.random.default_rng(42), args.fresh, held_out=True)
    for seed, (name, learn) in product(range(args.seeds), LEARNERS.items()):
        about = briefs(np.random.default_rng(seed + 31), PROMPTS)
        learnt = learn(load(args.sft), judge, about, Args(**{**vars(settings), "seed": seed}))
        yield outcome(name, seed, settings.beta, learnt, wrote(learnt.lm, sft, judge, fresh, settings.most))


def main() -> None:
    parser = ArgumentParser(prog="python -m training.messenger.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--sft", type=Path, default=Path("models/messenger/sft"), help="folder of the SFT model")
    parser.add_argument("--reward", type=Path, default=Path("models/messenger/reward"), help="and of the reward model")
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--texts", type=int, default=Args.texts, help="between two updates")
    parser.add_argument("--learning-rate", type=float, default=Args.learning_rate)
    parser.add_argument("--beta", type=float, default=Args.beta, help="what a nat of divergence costs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", type=int, default=512, help="prompts that all are judged on at the end")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder to write to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = Args(
        updates=args.updates, texts=args.texts, learning_rate=args.learning_rate, beta=args.beta, unsafe=0.0
    )
    found = []
    for each in outcomes(args, settings):
        found.append(each)
        said = f"{each.tokens_per_second:,.0f} tokens a second, score {each.score:.2f}, KL {each.kl:.2f}"
        print(f"{each.name}, seed {each.seed}: {said}", flush=True)
    same = {name: value for name, value in asdict(settings).items() if name not in ("seed", "target", "control")}
    report: dict[str, Any] = {"threads": args.threads, "fresh": args.fresh, "seeds": args.seeds, "settings": same}
    report |= {"versions": {name: version(name) for name in LIBRARIES}} | summary(found)
    args.reports.mkdir(parents=True, exist_ok=True)
    (args.reports / "messenger_rivals.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
