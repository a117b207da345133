"""The catalogue: the public data sets that training reads, where each comes from, and how it is known to be whole.

A file is pinned by its sha256, a set on the Hugging Face hub by its revision.
"""

from dataclasses import dataclass


class SourceError(Exception):
    """Data are missing or not what was expected; the text says which, where, and what to do."""


@dataclass(frozen=True)
class Copy:
    """A file of the mirror folder; of `rows` rows, a header not counted."""

    path: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Download:
    """A file on the web. `members` leads from an archive to the file, through an archive in it if need be."""

    url: str
    members: tuple[str, ...] = ()
    crlf: bool = False
    """Its lines end in CR LF, where the copy that was summed has LF: they are made LF first."""


@dataclass(frozen=True)
class Hub:
    """Rows of a data set on the Hugging Face hub: of each folder in `folders`, the `splits`, whole or their start."""

    repo: str
    revision: str
    splits: tuple[str, ...]
    folders: tuple[str | None, ...] = (None,)
    rows_a_file: int | None = None
    """Read only so many of the rows of each of the set's files, so that gigabytes are not fetched."""


@dataclass(frozen=True)
class Source:
    """One data set. `rows` are those of the whole set, where the copies may hold a part of it: `part` says which."""

    name: str
    origin: str
    licence: str
    rows: int
    copies: tuple[Copy, ...] = ()
    part: str = ""
    download: Download | None = None
    kaggle: Download | None = None
    """Taken instead of `download` by who has a Kaggle key."""
    hub: Hub | None = None

    @property
    def path(self) -> str:
        """In the mirror, of a set that is one file."""
        return self.copies[0].path

    @property
    def sha256(self) -> str:
        """Of a set that is one file."""
        return self.copies[0].sha256


TELCO = Source(
    name="telco",
    origin="IBM Telco Customer Churn, 7,043 customers of a fictional company; 7,032 of them complete",
    licence="Apache-2.0 (of the repository it is in; none is stated for the file)",
    rows=7_043,
    copies=(
        Copy(
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
    copies=(
        Copy(
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
    copies=(
        Copy(
            path="oasst1/oasst1-en-validation.messages.jsonl.gz",
            sha256="2026e0ad3746c1bb8b654423e5b210a4735c7134d8d125cee9c9b42ca3dfe20f",
            bytes=764_041,
            rows=2_022,
        ),
    ),
    part="the English messages of the validation split; the train split's trees are not there",
    hub=Hub("OpenAssistant/oasst1", "fdf72ae0827c1cda404aff25b6603abec9e3399b", ("train", "validation")),
)

HH_RLHF = Source(
    name="hh-rlhf",
    origin="Anthropic HH-RLHF, helpful-base and harmless-base (Bai et al. 2022)",
    licence="MIT",
    rows=91_038,
    copies=(
        Copy(
            path="hh-rlhf/harmless-base.test.jsonl.gz",
            sha256="ebfaaed21162a4de120ae85366075b34425e2a6303fac59b99555002f7016f03",
            bytes=742_801,
            rows=2_312,
        ),
        Copy(
            path="hh-rlhf/helpful-base.test.jsonl.gz",
            sha256="54b6489603c5adca3d9efcab2f0257e3d7d4c0acd5435d7d304a56ad3cca847b",
            bytes=873_299,
            rows=2_352,
        ),
    ),
    part="the two test splits, the helpful one as cleaned by Linear95/DSP; the train splits are not there",
    hub=Hub(
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
    hub=Hub("stanfordnlp/SHP-2", "628803d8055d947439f381e9877e9b4b69fb0d35", ("train",), rows_a_file=2_000),
)

SOURCES = {source.name: source for source in (TELCO, BANK, OASST1, HH_RLHF, SHP2)}
