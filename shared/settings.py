"""Every setting, read once. The only module that reads the environment: `RETENTION_BUDGET=20000`, and so on."""

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.artifacts import ARTIFACTS

LOCAL_HASH_KEY = SecretStr("a key that everybody knows")
"""Does for one machine, and for trying things out."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone") from error
    return name


class Settings(BaseSettings):
    """A sentence under each; the defaults run the system on a laptop."""

    model_config = SettingsConfigDict(env_prefix="RETENTION_", frozen=True)

    project: str = "retention-local"
    """The Google Cloud project, and the name the gateway answers to."""
    artifacts: Path = ARTIFACTS
    """The folder of trained models."""
    state: Path = Path("state/retention.sqlite")
    """Where one process keeps its state."""
    data: Path = ARTIFACTS.parent.parent / "shared" / "data"
    """A folder of copies of the public data sets, which training takes first; what it lacks is downloaded."""
    kaggle_username: str | None = Field(default=None, validation_alias="KAGGLE_USERNAME")
    """With a key, Kaggle is where the Telco file is downloaded from."""
    kaggle_key: SecretStr | None = Field(default=None, validation_alias="KAGGLE_KEY")
    """Kaggle's own variable; its file `~/.kaggle/kaggle.json` does too."""
    port: int = 8080
    """Of the gateway, in one process."""
    hash_key: SecretStr = Field(default=LOCAL_HASH_KEY, min_length=16)
    """Secret with which customers are hashed, for logs and for the list of those who opted out. It can never change."""
    pubsub_emulator_host: str | None = Field(default=None, validation_alias="PUBSUB_EMULATOR_HOST")
    """Google's own variable: where its emulator is; `dead-letters` then looks there."""
    push_url: str = "http://{service}:8080/"
    """Where Pub/Sub pushes to."""
    push_account: str | None = None
    """The service account that Pub/Sub shows an identity token of; without one, anybody may push."""
    push_audience: str = "retention"
    """Whom that token is for. Where Cloud Run looks at it first, this is a custom audience of the services."""
    certs_url: str = "https://www.googleapis.com/oauth2/v1/certs"
    """Where the keys are that Google signs identity tokens with."""
    api_keys: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = ()
    """A JSON list of those that open the gateway (`X-API-Key`). Without these and `callers` it is open to anybody."""
    callers: tuple[str, ...] = ()
    """A JSON list of accounts whose identity tokens (`Authorization: Bearer`) open the gateway."""
    callers_audience: str = "retention"
    """Whom those tokens are for."""
    rate: float = Field(default=1000, gt=0)
    """Requests a second that a caller may make at each instance of the gateway; beyond that, 429."""

    policy: Literal["ppo", "baseline", "index"] = "ppo"
    """Which policy decides: the trained one, the one-step rule, or what is best where money has its price."""
    explore: float = Field(default=0, ge=0, le=1)
    """Share of decisions that are drawn instead: 0 takes the best action, 1 samples. What is drawn is logged."""
    writer: Literal["template", "local", "vllm"] = "local"
    """Who writes: fixed words, the trained model on this machine's processor, or a model behind a vLLM server."""
    writer_seconds: float = Field(default=2, gt=0, le=60)
    """How long a model may take over what it is asked together, before fixed words go out instead."""
    writer_candidates: int = Field(default=2, ge=1, le=16)
    """Texts that a model writes for a message; the best that breaks no rule is sent."""
    vllm_url: str = "http://localhost:8000"
    """Where the vLLM server is."""
    vllm_model: str = "messenger"
    """By which name it serves the model: the merged weights', or the LoRA module's."""

    budget: float = Field(default=5_000, ge=0)
    """Money that may be promised in discounts."""
    budget_days: int = Field(default=90, ge=1, le=3650)
    """How long it is to last, from its first day on: its price moves so that spend keeps that pace."""
    budget_shards: int | None = Field(default=None, ge=1, le=400)
    """Parts the budget is split into on Firestore: at least as many as offers a second. By default as many as hold 200
    of money each, so that a part need not borrow for every offer, and at most 256."""
    cooldown_days: float = Field(default=14, ge=0, le=3650)
    """Between two contacts of one customer."""
    fatigue_cap: int = Field(default=3, ge=0)
    """Contacts of one customer within the fatigue window."""
    fatigue_window_days: float = Field(default=90, gt=0, le=3650)
    """How long a contact tires."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Of customers who are never contacted, so that the effect of contact can be known."""
    holdout_salt: str = "retention"
    """Changes who they are."""
    offer_days: int = Field(default=14, ge=1, le=365)
    """How long an offer stands."""
    keep_days: float = Field(default=365, gt=0, le=3650)
    """How long decisions and what is known of a customer are kept after their last change."""
    time_zones: Annotated[tuple[Annotated[str, AfterValidator(_zone)], ...], Field(min_length=1)] = (
        "America/New_York",
        "America/Los_Angeles",
        "Pacific/Honolulu",
    )
    """Where customers may live whose own zone is unknown: they are written to only when no quiet hours hold in any."""
    answer_seconds: float = Field(default=5, gt=0)
    """How long `POST /retain` waits for its decision before it says where to ask."""
