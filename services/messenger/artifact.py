"""What training leaves for the messenger: a writer, a reward model where there is one, and the tokenizer of both."""

import json
from datetime import date
from pathlib import Path
from typing import NamedTuple, Self, get_args

from ctranslate2 import Generator
from tokenizers import Tokenizer

from services.messenger.prompt import prompt
from shared.artifacts import read_manifest
from shared.messages import Brief, Concern

WRITER, REWARD, TOKENIZER = "writer", "reward", "tokenizer.json"
FILES = (TOKENIZER, f"{WRITER}/model.bin", f"{WRITER}/config.json", f"{WRITER}/vocabulary.json")

_known = {
    "offer_percentage": 10,
    "expires_on": date(2026, 1, 1),
    "first_name": "Sam",
    "tenure_months": 12,
    "plan": "Pro",
}
INPUTS = {
    "prompt": (
        *(prompt(Brief.model_validate({**_known, "concern": concern})) for concern in get_args(Concern)),
        prompt(Brief(offer_percentage=0)),
    )
}
"""Prompts in which all their parts occur. A model that was trained on others is refused."""


class LanguageModel:
    """A model as CTranslate2 runs it, on one thread, and how it reads text."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.generator = Generator(str(folder), intra_threads=1)
        self.tokenizer = tokenizer
        self.end = tokenizer.get_vocab()[json.loads((folder / "config.json").read_bytes())["eos_token"]]


class Artifact(NamedTuple):
    version: str
    writer: LanguageModel
    reward: LanguageModel | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises `ArtifactError` where there is none, it is damaged or made for other prompts."""
        manifest = read_manifest(folder, INPUTS, FILES)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        judged = f"{REWARD}/model.bin" in manifest.files
        return cls(
            manifest.version,
            LanguageModel(folder / WRITER, tokenizer),
            LanguageModel(folder / REWARD, tokenizer) if judged else None,
        )
