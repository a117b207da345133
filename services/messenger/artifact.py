"""The messenger's artifact: a writer, optionally a reward model, and the tokenizer of both."""

import json
from datetime import date
from pathlib import Path
from typing import NamedTuple, Self, get_args

from ctranslate2 import Generator
from tokenizers import Tokenizer

from services.messenger.prompt import build_prompt
from shared.artifacts import read_manifest
from shared.messages import Brief, Concern

WRITER_FOLDER, REWARD_FOLDER, TOKENIZER_FILE = "writer", "reward", "tokenizer.json"
FILES = (
    TOKENIZER_FILE,
    f"{WRITER_FOLDER}/model.bin",
    f"{WRITER_FOLDER}/config.json",
    f"{WRITER_FOLDER}/vocabulary.json",
)

_all_facts = {
    "offer_percentage": 10,
    "expires_on": date(2026, 1, 1),
    "first_name": "Sam",
    "tenure_months": 12,
    "plan": "Pro",
}
INPUTS = {
    "prompt": (
        *(build_prompt(Brief.model_validate({**_all_facts, "concern": concern})) for concern in get_args(Concern)),
        build_prompt(Brief(offer_percentage=0)),
    )
}
"""Prompts that contain every element of the prompt format. A model trained on another format is refused."""


class LanguageModel:
    """A CTranslate2 model on one thread, and its tokenizer."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.generator = Generator(str(folder), intra_threads=1)
        self.tokenizer = tokenizer
        self.eos_id = tokenizer.get_vocab()[json.loads((folder / "config.json").read_bytes())["eos_token"]]


class Artifact(NamedTuple):
    version: str
    writer: LanguageModel
    reward: LanguageModel | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where it is missing, damaged or trained on another prompt format."""
        manifest = read_manifest(folder, INPUTS, FILES)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        has_reward = f"{REWARD_FOLDER}/model.bin" in manifest.files
        return cls(
            manifest.version,
            LanguageModel(folder / WRITER_FOLDER, tokenizer),
            LanguageModel(folder / REWARD_FOLDER, tokenizer) if has_reward else None,
        )
