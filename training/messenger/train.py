"""Train the message writer, all stages: make train-messenger

A base model (or one by name), SFT on demonstrations, a reward model on preferences, PPO against it; then what serves:
the writer and the reward model in 8 bits. Weights for vLLM and transformers are left in `--models`.
"""

import json
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ctranslate2 import Generator, set_random_seed
from tqdm import tqdm

from services.messenger.artifact import INPUTS, REWARD_FOLDER, TOKENIZER_FILE, WRITER_FOLDER
from services.messenger.prompt import build_prompt
from shared.artifacts import ARTIFACTS, Manifest, content_version, write_manifest
from shared.messages import Brief
from shared.settings import Settings
from training.data.sources import HH_RLHF, SourceError
from training.messenger import base, ppo, reward, sft
from training.messenger.base import Args as BaseArgs
from training.messenger.corpus.corpus import briefs
from training.messenger.data import demonstrations, labelled, preferences
from training.messenger.evaluation import report
from training.messenger.evaluation.assess import SENT, evaluated
from training.messenger.evaluation.card import card
from training.messenger.export import as_lm, convert
from training.messenger.lm import LM, load, save
from training.messenger.ppo import Args as PPOArgs
from training.messenger.reward import Args as RewardArgs
from training.messenger.sft import Args as SFTArgs

HISTORY, SAMPLES = "training.json", "sft.jsonl"
POINTS = 100
"""Of a stage's history that are kept."""
PRETRAINED = 1e-5
"""Learning rate of reward model and critic where all weights of a pretrained model learn (Ouyang et al. 2022: 9e-6)."""
TOGETHER = 32
"""Texts that are drawn at once: what is worked out for them stays in the processor's cache."""


@dataclass(frozen=True)
class Args:
    model: str | None = None
    """A pretrained model by name or folder; without one a base is trained."""
    eight_bit: bool = False
    resume: bool = False
    """Take from `models` the stages that an earlier run has finished, up to PPO."""
    mirror: Path = field(default_factory=lambda: Settings().data)
    data: Path = Path("data")
    models: Path = Path("models/messenger")
    artifacts: Path = ARTIFACTS
    threads: int = 2
    demonstrations: int = 20_000
    asked: int = 14_000
    """Briefs whose texts the reward model learns from: eight each, and all 28 pairs of them."""
    answers: int = 8
    held_out: int = 1_000
    """Briefs that the reward model is measured on, and PPO is compared on with SFT."""
    base: BaseArgs = field(default_factory=BaseArgs)
    sft: SFTArgs = field(default_factory=SFTArgs)
    reward: RewardArgs = field(default_factory=lambda: RewardArgs(batch=4 * 28, together=28))
    people_pairs: int = 2_000
    people: RewardArgs = field(default_factory=lambda: RewardArgs(epochs=1, longest=96))
    """Of the reward model on what people preferred in HH-RLHF."""
    sent: int = SENT
    """Messages that are counted through messenger and shield."""
    ppo: PPOArgs = field(default_factory=PPOArgs)


class Stage:
    """Shows how a stage gets on, and keeps its history."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total = name, total
        self.points: list[Any] = []

    def __enter__(self) -> Callable[[Any], None]:
        self._bar, self._start = tqdm(total=self._total, desc=self._name, unit=" steps"), time.perf_counter()
        return self._show

    def _show(self, point: Any) -> None:
        self.points.append(point)
        self._bar.update()
        self._bar.set_postfix_str(", ".join(f"{k} {v:.3g}" for k, v in point._asdict().items() if k in SHOWN))

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._bar.close()

    def history(self) -> dict[str, Any]:
        kept = [self.points[i] for i in np.linspace(0, len(self.points) - 1, min(POINTS, len(self.points))).astype(int)]
        columns = {name: [_rounded(getattr(point, name)) for point in kept] for name in kept[0]._fields}
        return {"took": round(self.seconds, 1), **columns}


STAGES = ("base", "people", "sft", "reward", "ppo")
SHOWN = ("loss", "accuracy", "score", "broken", "kl", "beta")


def train(args: Args) -> Manifest:
    """Raises `SourceError` where HH-RLHF cannot be had."""
    torch.set_num_threads(args.threads)
    history: dict[str, Any] = {}
    lm = _base(args, history)
    _people(lm, args, history)
    lm = _sft(lm, args, history)
    judge = _reward(lm, args, history)
    about = briefs(np.random.default_rng(args.ppo.seed + 31), 4_096)
    asked = briefs(np.random.default_rng(args.ppo.seed + 32), args.held_out, held_out=True)
    [before] = written(lm, asked, args.ppo.most, seed=args.ppo.seed)
    with (stage := Stage("ppo", args.ppo.updates)) as show:
        lm, points = ppo.Trainer(lm, judge, about, args.ppo).run(show)
    half = points[len(points) // 2 :]
    history["ppo"] = stage.history() | {
        "target": args.ppo.target,
        "control": args.ppo.control,
        "kl_of_last_half": float(np.mean([point.kl for point in half])),
        "tokens_per_second": points[-1].tokens / points[-1].seconds,
    }
    save(lm, args.models / "merged")
    samples = [
        {"brief": brief.model_dump(mode="json"), "text": text} for brief, text in zip(asked, before, strict=True)
    ]
    return export(lm, judge, samples, history, args)


def _kept(stage: str, history: dict[str, Any], args: Args) -> bool:
    """Whether the stage is not to be done again; its history then is the earlier one."""
    file = args.models / f"{stage}.json"
    if not (args.resume and file.exists()):
        return False
    history[stage] = json.loads(file.read_text())
    return True


def _keep(stage: str, found: Mapping[str, Any], history: dict[str, Any], args: Args) -> None:
    history[stage] = found
    args.models.mkdir(parents=True, exist_ok=True)
    (args.models / f"{stage}.json").write_text(json.dumps(found))


def _base(args: Args, history: dict[str, Any]) -> LM:
    if args.model:
        return load(args.model, args.eight_bit)
    if _kept("base", history, args):
        return load(args.models / "base")
    with (stage := Stage("base", args.base.steps)) as show:
        lm, _ = base.train(args.base, show)
    save(lm, args.models / "base")
    _keep("base", stage.history(), history, args)
    return lm


def _people(lm: LM, args: Args, history: dict[str, Any]) -> None:
    """A reward model of what people preferred, measured on the test split; no message is written by it."""
    if _kept("people", history, args):
        return
    learnt, tested = (
        preferences("hh-rlhf", args.mirror, args.data, *splits).pairs for splits in (("train", "valid"), ("test",))
    )
    learnt = learnt[: args.people_pairs]
    with (stage := Stage("people", args.people.steps(len(learnt)))) as show:
        judge, _ = reward.train(lm, learnt, args.people, show)
    found = reward.report(judge, tested, args.people.longest)
    about = {"pairs": len(learnt), "tested": len(tested)}
    _keep("people", stage.history() | found._asdict() | about, history, args)


def _sft(lm: LM, args: Args, history: dict[str, Any]) -> LM:
    if _kept("sft", history, args):
        return load(args.models / "sft", args.eight_bit)
    with (stage := Stage("sft", args.sft.steps)) as show:
        pairs = demonstrations(args.demonstrations, args.sft.seed + 11)
        lm, _ = sft.train(lm, pairs[256:], args.sft, pairs[:256], show)
    save(lm, args.models / "sft")
    _keep("sft", stage.history(), history, args)
    return lm


def _reward(lm: LM, args: Args, history: dict[str, Any]) -> reward.RewardModel:
    """Of pairs that `lm` wrote; in the spread of what it writes."""
    if _kept("reward", history, args):
        return reward.RewardModel.of(load(args.models / "reward"), history["reward"]["mean"])
    seed = args.reward.seed + 21
    about = briefs(np.random.default_rng(seed), args.asked + args.held_out)
    learnt, tested = (
        labelled(some, written(lm, some, args.ppo.most, args.answers, seed), seed)
        for some in (about[: args.asked], about[args.asked :])
    )
    with (stage := Stage("reward", args.reward.steps(len(learnt.pairs)))) as show:
        judge, _ = reward.train(lm, learnt.pairs, args.reward, show)
    found = reward.report(judge, tested.pairs, args.reward.longest)
    prompts, texts, *_ = reward.read_once(tested.pairs)
    judge.normalise(judge.score(prompts, texts, args.reward.longest))
    save(as_lm(judge), args.models / "reward")
    about_pairs = {"ceiling": tested.ceiling, "pairs": len(learnt.pairs), "mean": judge.mean / judge.spread}
    _keep("reward", stage.history() | found._asdict() | about_pairs, history, args)
    return judge


def written(lm: LM, about: Sequence[Brief], most: int, answers: int = 1, seed: int = 0) -> list[list[str]]:
    """[answers, briefs] of texts, as `sample` draws them; by the runtime that serves, several times as quick."""
    device = lm.model.device.type
    with TemporaryDirectory() as folder:
        convert(lm, Path(folder) / WRITER_FOLDER, quantization=None)
        generator = Generator(str(Path(folder) / WRITER_FOLDER), device, intra_threads=torch.get_num_threads())
    set_random_seed(seed)
    asked = lm.tokenizer([build_prompt(brief) for brief in about])
    results = generator.generate_batch(
        [asked.tokens(row) for row in range(len(about))],
        max_length=most,
        num_hypotheses=answers,
        max_batch_size=max(TOGETHER // answers, 1),
        sampling_topk=0,
        include_prompt_in_result=False,
    )
    found = [
        [lm.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in each.sequences_ids] for each in results
    ]
    return [list(texts) for texts in zip(*found, strict=True)]


def export(
    lm: LM, judge: reward.RewardModel, before: Sequence[Any], history: Mapping[str, Any], args: Args
) -> Manifest:
    """What serves, in 8 bits; what SFT wrote, to compare with; and how it all went."""
    folder = args.artifacts / "messenger"
    shutil.rmtree(folder, ignore_errors=True)
    convert(lm, folder / WRITER_FOLDER)
    convert(as_lm(judge), folder / REWARD_FOLDER)
    lm.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / SAMPLES).write_text("".join(f"{json.dumps(sample)}\n" for sample in before))
    (folder / HISTORY).write_text(json.dumps(history))
    manifest = Manifest(
        version=content_version({str(file): file.read_bytes() for file in sorted(folder.rglob("model.bin"))}),
        made_by="make train-messenger",
        inputs=INPUTS,
        data_sha256={copy.path: copy.sha256 for copy in HH_RLHF.mirror_files},
        metrics=metrics(history),
    )
    write_manifest(folder, manifest)
    figures = report.figures(evaluated(args.artifacts, args.sent))
    manifest = manifest.model_copy(update={"metrics": manifest.metrics | figures})
    (folder / "MODEL_CARD.md").write_text(card(manifest))
    return write_manifest(folder, manifest)


def metrics(history: Mapping[str, Any]) -> dict[str, float]:
    """The figures of training that a reader looks for first."""
    named = {
        "rm_accuracy": history["reward"]["accuracy"],
        "rm_ceiling": history["reward"]["ceiling"],
        "rm_people_accuracy": history["people"]["accuracy"],
        "rm_people_longer": history["people"]["longer"],
        "kl_mean": history["ppo"]["kl_of_last_half"],
        "kl_target": history["ppo"]["target"],
        "ppo_tokens_per_second": history["ppo"]["tokens_per_second"],
        **{f"{stage}_seconds": history[stage]["took"] for stage in STAGES if stage in history},
    }
    return {name: round(float(value), 4) for name, value in named.items()}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = ArgumentParser(prog="python -m training.messenger.train", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a pretrained model, by folder or name on the hub; else a base is trained")
    parser.add_argument("--eight-bit", action="store_true", help="hold that model in 8 bits (bitsandbytes)")
    parser.add_argument("--resume", action="store_true", help="take the stages before PPO from an earlier run")
    parser.add_argument("--mirror", type=Path, default=Settings().data, help="folder of copies of the data sets")
    parser.add_argument("--data", type=Path, default=Args.data, help="folder of the data sets made ready")
    parser.add_argument(
        "--models", type=Path, default=Args.models, help="folder for weights, for vLLM and transformers"
    )
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS, help="folder of the artifacts")
    parser.add_argument("--threads", type=int, default=Args.threads)
    args = Args(**vars(parser.parse_args()))
    if args.model and not args.eight_bit:
        args = replace(
            args,
            people=replace(args.people, learning_rate=PRETRAINED),
            reward=replace(args.reward, learning_rate=PRETRAINED),
            ppo=replace(args.ppo, critic_rate=PRETRAINED),
        )
    try:
        made = train(args)
    except SourceError as error:
        sys.exit(str(error))
    print(*(f"{name:24} {value:.4f}" for name, value in made.metrics.items()), sep="\n")
    print(f"version {made.version} is in {args.artifacts / 'messenger'}; judge it: make eval-messenger")


if __name__ == "__main__":
    main()
