"""The catalogue of public data sets: where each comes from, its licence and size.

A file is pinned by its sha256, a set on the Hugging Face hub by its revision.
"""

from dataclasses import dataclass


class SourceError(Exception):
    """Data are missing or wrong; the message says which, where and what to do."""


@dataclass(frozen=True)
class MirrorFile:
    """A file of the mirror folder."""

    path: str
    """Path relative to the folder."""
    sha256: str
    bytes: int
    rows: int
    """Number of rows without the header."""


@dataclass(frozen=True)
class Download:
    """A file on the web."""

    url: str
    members: tuple[str, ...] = ()
    """Path inside the archive, then inside the archive that it names, and so on; empty if the file is no archive."""
    crlf: bool = False
    """Lines end in CR LF, which are converted to LF before the checksum is compared."""


@dataclass(frozen=True)
class HubDataset:
    """A data set on the Hugging Face hub."""

    repo: str
    revision: str
    splits: tuple[str, ...]
    folders: tuple[str | None, ...] = (None,)
    """Folders to read; None is the top one."""
    rows_per_file: int | None = None
    """Number of rows to read of each file, as all would be gigabytes; None for all rows."""


@dataclass(frozen=True)
class Source:
    """A public data set."""

    name: str
    origin: str
    licence: str
    rows: int
    """Number of rows of the whole set."""
    mirror_files: tuple[MirrorFile, ...] = ()
    """Files in the mirror folder; empty if the set cannot be there."""
    part: str = ""
    """Description of the part of the set in the mirror files; empty if they hold all of it."""
    download: Download | None = None
    kaggle: Download | None = None
    """Used instead of `download` if there is a Kaggle key."""
    hub: HubDataset | None = None

    @property
    def path(self) -> str:
        """Path in the mirror folder, of a set with a single file."""
        return self.mirror_files[0].path

    @property
    def sha256(self) -> str:
        """sha256 of the file, of a set with a single file."""
        return self.mirror_files[0].sha256


TELCO = Source(
    name="telco",
    origin="IBM Telco Customer Churn, 7,043 customers of a fictional company; 7,032 of them complete",
    licence="Apache-2.0 (of the repository it is in; none is stated for the file)",
    rows=7_043,
    mirror_files=(
        MirrorFile(
            path="telco/Telco-Customer-Churn.csv",
            sha256="16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
            bytes=970_457,
            rows=7_043,
        ),
    ),
    download=Download(
        "https://raw.githubusercontent.com/IBM/telco-customer-churn-on-icp4d/"
        "d5371f5d83a446ad5673cbcca3b814b926491f8a/data/Telco-Customer-Churn.csv"
    ),
    # Not tried against Kaggle itself. Its copy is 977,501 bytes: one more, the CR, for each of the 7,044 lines.
    kaggle=Download(
        "https://www.kaggle.com/api/v1/datasets/download/blastchar/telco-customer-churn",
        members=("WA_Fn-UseC_-Telco-Customer-Churn.csv",),
        crlf=True,
    ),
)

BANK = Source(
    name="bank",
    origin="UCI Bank Marketing with social and economic context (Moro, Cortez and Rita 2014), set 222",
    licence="CC BY 4.0 (UCI); its authors ask to be cited",
    rows=41_188,
    mirror_files=(
        MirrorFile(
            path="bank/bank-additional-full.csv",
            sha256="74adfc578bf77a7ff4bb1ba4a9f8709d9e3c6907342959c2c8416847e0afb4d8",
            bytes=5_834_924,
            rows=41_188,
        ),
    ),
    download=Download(
        "https://archive.ics.uci.edu/static/public/222/bank+marketing.zip",
        members=("bank-additional.zip", "bank-additional/bank-additional-full.csv"),
    ),
)

OASST1 = Source(
    name="oasst1",
    origin="OpenAssistant Conversations, release 1 (Köpf et al. 2023)",
    licence="Apache-2.0",
    rows=88_838,
    mirror_files=(
        MirrorFile(
            path="oasst1/oasst1-en-validation.messages.jsonl.gz",
            sha256="2026e0ad3746c1bb8b654423e5b210a4735c7134d8d125cee9c9b42ca3dfe20f",
            bytes=764_041,
            rows=2_022,
        ),
    ),
    part="the English messages of the validation split; the train split's trees are not there",
    hub=HubDataset("OpenAssistant/oasst1", "fdf72ae0827c1cda404aff25b6603abec9e3399b", ("train", "validation")),
)

HH_RLHF = Source(
    name="hh-rlhf",
    origin="Anthropic HH-RLHF, helpful-base and harmless-base (Bai et al. 2022)",
    licence="MIT",
    rows=91_038,
    mirror_files=(
        MirrorFile(
            path="hh-rlhf/harmless-base.test.jsonl.gz",
            sha256="ebfaaed21162a4de120ae85366075b34425e2a6303fac59b99555002f7016f03",
            bytes=742_801,
            rows=2_312,
        ),
        MirrorFile(
            path="hh-rlhf/helpful-base.test.jsonl.gz",
            sha256="54b6489603c5adca3d9efcab2f0257e3d7d4c0acd5435d7d304a56ad3cca847b",
            bytes=873_299,
            rows=2_352,
        ),
    ),
    part="the two test splits, the helpful one as cleaned by Linear95/DSP; the train splits are not there",
    hub=HubDataset(
        "Anthropic/hh-rlhf",
        "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa",
        ("train", "test"),
        folders=("harmless-base", "helpful-base"),
    ),
)

SHP2 = Source(
    name="shp2",
    origin="Stanford Human Preferences 2 (Ethayarajh, Choi and Swayamdipta 2022): Reddit and Stack Exchange",
    licence="Reddit's API terms of use; CC BY-SA (Stack Exchange)",
    rows=4_800_000,  # as its card says, rounded
    hub=HubDataset("stanfordnlp/SHP-2", "628803d8055d947439f381e9877e9b4b69fb0d35", ("train",), rows_per_file=2_000),
)

SOURCES = {source.name: source for source in (TELCO, BANK, OASST1, HH_RLHF, SHP2)}
