"""The settings, from environment variables such as `RETENTION_BUDGET`. No other module reads the environment."""

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.artifacts import ARTIFACTS

LOCAL_HASH_KEY = SecretStr("a key that everybody knows")
"""The default hash key. It is public, so it is for trying things out only."""


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Madrid") from error
    return name


class Settings(BaseSettings):
    """The settings, each with a default that runs the system on one machine."""

    model_config = SettingsConfigDict(env_prefix="RETENTION_", frozen=True, use_attribute_docstrings=True)

    project: str = "retention-local"
    """Id of the Google Cloud project. The gateway takes publish requests for this project only."""
    artifacts: Path = ARTIFACTS
    """Folder of the trained models."""
    state: Path = Path("state/retention.sqlite")
    """SQLite file in which `python -m services` stores its state."""
    data: Path = ARTIFACTS.parent.parent / "shared" / "data"
    """Folder with copies of the public data sets. Training looks here first, and downloads what is missing."""
    kaggle_username: str | None = Field(default=None, validation_alias="KAGGLE_USERNAME")
    """User name at Kaggle, with which the Telco data set is downloaded from there."""
    kaggle_key: SecretStr | None = Field(default=None, validation_alias="KAGGLE_KEY")
    """API key at Kaggle; the file `~/.kaggle/kaggle.json` can be used instead of both variables."""
    port: int = 8080
    """Port of the gateway of `python -m services`."""
    hash_key: SecretStr = Field(default=LOCAL_HASH_KEY, min_length=16)
    """Secret key, at least 16 characters, that replaces customer ids by hashes in logs and in the list of customers who
    opted out. Set it before the first start: it can never be changed."""
    pubsub_emulator_host: str | None = Field(default=None, validation_alias="PUBSUB_EMULATOR_HOST")
    """Host and port of the Pub/Sub emulator (`PUBSUB_EMULATOR_HOST`), which Google's clients read too. Where it is set,
    the command `dead-letters` uses the emulator."""
    push_url: str = "http://{service}:8080/"
    """URL that Pub/Sub pushes messages to; `{service}` is replaced by the name of the service."""
    push_account: str | None = None
    """Service account whose identity token Pub/Sub sends with each push. Without it, anybody can push."""
    push_audience: str = "retention"
    """Audience of that token. On Cloud Run with authentication, set it as a custom audience of the services."""
    certs_url: str = "https://www.googleapis.com/oauth2/v1/certs"
    """URL of the certificates that verify Google's identity tokens."""
    api_keys: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = ()
    """JSON list of API keys, each at least 16 characters, accepted by the gateway in the header `X-API-Key`. Without
    `RETENTION_API_KEYS` and `RETENTION_CALLERS`, anybody can use the gateway."""
    callers: tuple[str, ...] = ()
    """JSON list of Google accounts whose identity tokens the gateway accepts in the header `Authorization: Bearer`."""
    callers_audience: str = "retention"
    """Audience of the callers' tokens."""
    rate: float = Field(default=1000, gt=0)
    """Requests per second that each caller may send to each instance of the gateway; more are answered with 429."""

    policy: Literal["ppo", "baseline", "index"] = "ppo"
    """Policy that decides: `ppo` (the trained network), `index` (a dynamic program for each customer, at the current
    price of the budget) or `baseline` (the best single contact)."""
    explore: float = Field(default=0, ge=0, le=1)
    """Share of decisions, 0 to 1, that are sampled instead of taking the best action. The probability of each action is
    in the decision's metadata."""
    writer: Literal["template", "local", "vllm"] = "local"
    """Writer of the messages: `template` (fixed texts), `local` (the trained model, on this machine's processor) or
    `vllm` (a model on a vLLM server)."""
    writer_seconds: float = Field(default=2, gt=0, le=60)
    """Seconds that the model may take to write a batch of messages, above 0 and up to 60; then templates are used."""
    writer_candidates: int = Field(default=2, ge=1, le=16)
    """Candidates that the model writes for each message, 1 to 16. The best that breaks no safety rule is sent."""
    vllm_url: str = "http://localhost:8000"
    """URL of the vLLM server."""
    vllm_model: str = "messenger"
    """Name of the model on the vLLM server: of the merged weights, or of the LoRA module."""

    budget: float = Field(default=5_000, ge=0)
    """Budget for discounts, in your currency."""
    budget_days: int = Field(default=90, ge=1, le=3650)
    """Days over which the budget is spent, 1 to 3,650, from the first start; then they start again with what is left.
    The shadow price of the budget rises when spending is ahead of plan, and falls when it is behind."""
    budget_shards: int | None = Field(default=None, ge=1, le=400)
    """Number of Firestore documents that the budget is split into, 1 to 400: at least the number of offers per second.
    By default one for each 200 of the budget, but no more than 256."""
    cooldown_days: float = Field(default=14, ge=0, le=3650)
    """Days between two contacts of the same customer, 0 to 3,650."""
    fatigue_cap: int = Field(default=3, ge=0)
    """Most contacts of the same customer within the fatigue window; 0 forbids all contact."""
    fatigue_window_days: float = Field(default=90, gt=0, le=3650)
    """Length of the fatigue window, in days, above 0 and up to 3,650."""
    bounce_limit: int = Field(default=3, ge=0, le=20)
    """Messages in a row that bounce, 1 to 20, until contact with a customer pauses; 0 turns this off."""
    holdout_share: float = Field(default=0.05, ge=0, le=1)
    """Share of customers, 0 to 1, in the control group. They are never contacted, so that the effect of contact can be
    measured."""
    holdout_salt: str = "retention"
    """Text that the choice of the control group depends on; another text chooses other customers."""
    offer_days: int = Field(default=14, ge=1, le=365)
    """Days that a customer has to accept an offer, 1 to 365."""
    unread_reply_days: float = Field(default=30, gt=0, le=3650)
    """Days that an unclear reply waits for a person to read it, above 0 and up to 3,650; then it counts as a request to
    stop."""
    keep_days: float = Field(default=365, gt=0, le=3650)
    """Days after their last change when decisions and the state of customers are deleted, above 0 and up to 3,650."""
    time_zones: Annotated[tuple[Annotated[str, AfterValidator(_time_zone)], ...], Field(min_length=1)] = (
        "America/New_York",
        "America/Los_Angeles",
        "Pacific/Honolulu",
    )
    """JSON list of the IANA time zones where your customers live. A customer whose time zone is unknown gets messages
    only when all of them are outside quiet hours."""
    answer_seconds: float = Field(default=5, gt=0)
    """Seconds that `POST /retain` waits for the decision, above 0; then it answers where to ask for it."""
