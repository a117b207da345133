"""The language: what services say to each other. One class, one topic. Knows nothing of transport or storage.

A field may be added with a default; it is never renamed, retyped or removed (`tests/wire` holds one message of each
kind that must parse for ever). A breaking change is a new class with a new topic.
"""

from __future__ import annotations

from datetime import date
from functools import cache, cached_property
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import from_json

ID_NAMESPACE = UUID("5d9be7d3-6a1f-4b2e-9a3c-0f8e1c7a2b44")
"""Namespace of the ids derived here."""

OFFERS = (0, 5, 10, 15)
"""Discount of each offer level, in percent."""

Probability = Annotated[float, Field(ge=0, le=1)]


def _yes_no(value: object) -> object:
    """True, 1 and 0 are what exports write for Yes and No."""
    return ("No", "Yes")[value] if isinstance(value, int) and value in (0, 1) else value


NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""Text without control characters."""

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=NO_CONTROL_CHARACTERS)]
Text = Annotated[str, Field(max_length=200, pattern=NO_CONTROL_CHARACTERS)] | None
YesNo = Annotated[Text, BeforeValidator(_yes_no)]
Number = Annotated[float, Field(strict=True, ge=0, le=1e9)] | None
WholeNumber = Annotated[float, Field(strict=True, ge=0, le=1e5, multiple_of=1)] | None


class FrozenModel(BaseModel):
    """Frozen, compared by value, tolerant of fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Message(FrozenModel):
    """What travels on a topic. `event_id` is the customer event that everything about it follows from."""

    topic: ClassVar[str]

    id: UUID
    event_id: Id
    customer_id: Id

    @classmethod
    def caused_by(cls, cause: Message, **fields: Any) -> Self:
        """The message that follows `cause`: what both kinds have is carried on, unless `fields` say otherwise.

        Its id is derived, so a redelivery repeats itself instead of doubling.
        """
        inherited = {name: getattr(cause, name) for name in _shared_fields(cls, type(cause))}
        return cls(**{**inherited, **fields, "id": uuid5(cause.id, cls.topic)})

    @cached_property
    def data(self) -> bytes:
        """As it travels. Made once, so do not change a message by copying it: make the one that follows."""
        return self.model_dump_json().encode()

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """Read what the bus delivered under `message_id`. Raises `pydantic.ValidationError`, a ValueError."""
        return cls.model_validate_json(data)


@cache
def _shared_fields(a: type[Message], b: type[Message]) -> frozenset[str]:
    return frozenset(a.model_fields.keys() & b.model_fields.keys())


class Customer(FrozenModel):
    """What a decision and its words may rest on; all of it optional."""

    name: Text = None
    plan: Text = None
    time_zone: Text = Field(default=None, description="IANA name, such as Europe/Madrid")
    opted_out: bool | None = None
    tenure: WholeNumber = Field(default=None, description="months as a customer")
    monthly_charges: Number = Field(default=None, description="money a month")


class CustomerFacts(Customer):
    """What the publisher may know of a customer; every fact is optional, and what is unknown stays None.

    A category that the models have not seen counts as missing; so does a blank string.
    Yes/no facts also take true, false, 1 and 0.
    """

    total_charges: Number = Field(default=None, description="money so far")
    contract: Text = None
    payment_method: Text = None
    paperless_billing: YesNo = None
    gender: Text = None
    senior_citizen: YesNo = None
    partner: YesNo = None
    dependents: YesNo = None
    phone_service: YesNo = None
    multiple_lines: YesNo = None
    internet_service: Text = None
    online_security: YesNo = None
    online_backup: YesNo = None
    device_protection: YesNo = None
    tech_support: YesNo = None
    streaming_tv: YesNo = None
    streaming_movies: YesNo = None

    age: WholeNumber = Field(default=None, description="years")
    job: Text = None
    marital: Text = None
    education: Text = None
    credit_default: YesNo = None
    housing_loan: YesNo = None
    personal_loan: YesNo = None
    contact_channel: Text = Field(default=None, description="cellular or telephone")
    days_since_campaign: WholeNumber = Field(
        default=None, description="days since an earlier campaign last reached them"
    )
    previous_contacts: WholeNumber = Field(default=None, description="contacts in earlier campaigns")
    previous_outcome: Text = Field(default=None, description="success, failure or nonexistent")

    churn_risk: Probability | None = Field(default=None, description="a risk the caller knows; replaces the model's")


def _object(data: bytes) -> dict[str, Any]:
    """Raises ValueError where `data` is not JSON, or not an object."""
    given = from_json(data, allow_inf_nan=False)
    if not isinstance(given, dict):
        raise ValueError(f"a message is a JSON object, this is a {type(given).__name__}")
    return given


class CustomerEvent(CustomerFacts, Message):
    """Something happened to a customer. Only `customer_id` is required; `event_id` is the publisher's, if given."""

    topic = "customer-events"

    occurred_at: AwareDatetime | None = None

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """Without an `event_id` the event is known by the message that brought it."""
        event = _object(data)
        facts = {name: fact for name, fact in event.items() if not (isinstance(fact, str) and not fact.strip())}
        if facts.get("event_id") is None:
            facts["event_id"] = str(uuid5(ID_NAMESPACE, message_id))
        return cls.model_validate(facts | {"id": uuid5(ID_NAMESPACE, str(facts["event_id"]))})


class Reason(FrozenModel):
    """One of the strongest contributions to a churn risk, in log-odds: above 0 it raises the risk."""

    feature: str
    contribution: float


class ScoredCustomer(CustomerFacts, Message):
    """All facts go on, so that a review can send them through again."""

    topic = "scored-customers"

    churn_risk: Probability
    churn_risk_source: Literal["model", "caller"] = "model"
    accept_probs: Annotated[tuple[Probability, ...], Field(min_length=len(OFFERS), max_length=len(OFFERS))]
    reasons: tuple[Reason, ...] = ()
    versions: dict[str, str] = {}
    times: dict[str, AwareDatetime] = {}


class Action(FrozenModel):
    """What was decided. Without contact there is no offer."""

    contact: bool
    offer_level: Annotated[int, Field(ge=0, lt=len(OFFERS))] = 0
    offer_percentage: int = 0
    delay_days: Annotated[int, Field(ge=0, le=7)] = Field(
        default=0, description="the customer is looked at again after so many days; 0 is at their next event"
    )
    estimated_retention_prob: Probability


class Metadata(FrozenModel):
    """Why it was decided so."""

    churn_risk: Probability
    churn_risk_source: Literal["model", "caller"] = "model"
    accept_prob: Probability = Field(description="at the level chosen")
    accept_probs: tuple[Probability, ...] = ()
    expected_value: float = Field(description="money this action is worth more than doing nothing")
    propensity: Probability = Field(description="with which the policy drew this action from those the gate allowed")
    action_probs: tuple[Probability, ...] = Field(
        default=(), description="of all actions it could have drawn: no contact, then contact at each offer level"
    )
    observation: tuple[float, ...] = Field(default=(), description="the nine numbers that the policy saw")
    policy: str
    price: float = Field(default=0, description="what the pace made a unit of the budget count beyond itself")
    gate: tuple[str, ...] = Field(default=(), description="what the gate forbade, and why")
    holdout: bool = False
    reserved: float = Field(default=0, description="money of the budget set aside: the offer's worst case")
    assumed: tuple[str, ...] = Field(default=(), description="facts that were not given and had to be assumed")
    reasons: tuple[Reason, ...] = ()
    writer: str | None = None
    rejected: tuple[str, ...] = Field(default=(), description="rules that better candidates broke")


class DecisionDraft(FrozenModel):
    """A decision so far."""

    decision: Action
    metadata: Metadata
    versions: dict[str, str] = {}
    times: dict[str, AwareDatetime] = {}


Concern = Literal["price", "service", "contract"]


class Brief(FrozenModel):
    """What a message may say, and nothing else."""

    offer_percentage: int
    expires_on: date | None = None
    first_name: str | None = None
    tenure_months: int | None = None
    plan: str | None = None
    concern: Concern | None = Field(
        default=None, description="what the strongest reason to leave is about; sets the tone"
    )


class PlannedContact(DecisionDraft, Message):
    topic = "planned-contacts"

    brief: Brief
    time_zone: str | None = None


class Candidate(FrozenModel):
    text: str
    writer: str


class DraftedMessage(PlannedContact):
    """Candidates, best first; the last is always the template."""

    topic = "drafted-messages"

    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]


class Safety(FrozenModel):
    passed: bool = True
    violations: tuple[str, ...] = ()


class Decision(DecisionDraft, Message):
    """The one answer to a customer event. Where `deliver_after` is set, the message waits until then."""

    topic = "decisions"

    message: str | None = None
    deliver_after: AwareDatetime | None = None
    safety: Safety = Safety()


class Outcome(Message):
    """What became of a decision, or what a customer wrote or wants. `withheld` is the shield's: it was never sent."""

    topic = "outcomes"

    event_id: Annotated[str, Field(max_length=128, pattern=NO_CONTROL_CHARACTERS)] = ""
    """Empty where it is of a customer and of no event: they write out of the blue."""
    outcome: Literal[
        "accepted",
        "declined",
        "churned",
        "retained",
        "delivered",
        "bounced",
        "opted-out",
        "replied",
        "erased",
        "withheld",
    ]
    text: str | None = Field(default=None, description="what the customer wrote; it is read, and never stored")
    occurred_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.event_id and self.outcome not in EVENTLESS:
            raise ValueError(f"event_id: what was {self.outcome}? Only {', '.join(EVENTLESS)} need none")
        if self.outcome == "replied" and self.text is None:
            raise ValueError("text: a reply has one")
        return self

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """The same outcome of the same event is the same message, whoever reports it, however often."""
        outcome = {name: value for name, value in _object(data).items() if value is not None}
        said = outcome.get("event_id") or message_id, outcome.get("outcome"), outcome.get("text")
        identity = "/".join(str(part) for part in said if part is not None)
        return cls.model_validate(outcome | {"id": uuid5(ID_NAMESPACE, identity)})


EVENTLESS = ("opted-out", "replied", "erased")
"""Outcomes that may be of no event."""

MESSAGE_TYPES: dict[str, type[Message]] = {
    kind.topic: kind for kind in (CustomerEvent, ScoredCustomer, PlannedContact, DraftedMessage, Decision, Outcome)
}
