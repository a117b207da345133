"""The messages that services and users exchange: one class for each topic. Independent of transport and storage.

A field may be added with a default; it is never renamed, retyped or removed (`tests/wire` holds a golden message of
each type that must always parse). A breaking change is a new class with a new topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, cached_property, lru_cache
from json import detect_encoding
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import from_json

from shared import values

ID_NAMESPACE = UUID("5d9be7d3-6a1f-4b2e-9a3c-0f8e1c7a2b44")
"""Namespace of the UUIDs (version 5) derived here."""

OFFERS = (0, 5, 10, 15)
"""Discount of each offer level, in percent."""

Probability = Annotated[float, Field(ge=0, le=1)]


OPT_OUT_WORDS = frozenset(
    "stop stopped unsub complaint complained spam spamreport spamcomplaint reportedspam markedasspam".split()
)
"""Words for the outcome `opted-out`, and for a true `opted_out`, besides those of `OPT_OUT_FIELD`; without signs.

A complaint is what a mail service calls a message that was reported as spam."""


def outcome_word(value: Any) -> Any:
    """An outcome in the spelling of `Outcome`: "OPTED_OUT" and "unsubscribed" are `opted-out`. Others are unchanged."""
    if not isinstance(value, str):
        return unless_unknown(value)
    word = re.sub(r"[\s_-]+", "-", values.strip(value).casefold())
    return "opted-out" if bare_name(word) in OPT_OUT_WORDS or is_opt_out_field(word) else word


OPT_OUT_FIELD = re.compile(
    r"(?:customer|user|contact|is|has|have|was|e?mail|sms|text|marketing|group|list|whatsapp|push|global|all)*"
    r"(?:opt(?:ed)?out(?:of\w*)?|unsubscribed?(?:from\w*)?|dnc|dnd|suppressed"
    r"|do(?:not|nt)(?:contact|call|e?mail|text|sms|message|disturb|phone|market|solicit)\w*)"
    r"(?:status|flag|all|email|sms|marketing)?"
)
"""Names of a field or an outcome that tell of an opt-out, of any channel, in lower case and without signs."""


def has_opt_out(fields: Mapping[str, Any]) -> bool:
    """Whether one of the fields says that the customer opted out."""
    return any(is_opt_out(value) and is_opt_out_field(name) for name, value in fields.items())


@lru_cache(maxsize=1024)
def is_opt_out_field(name: str) -> bool:
    """Whether a field of this name says whether a customer opted out."""
    return len(name) <= MAX_TEXT_LENGTH and bool(OPT_OUT_FIELD.fullmatch(bare_name(name)))


def bare_name(name: str) -> str:
    """The name of a field in lower case and without signs: "customerId" and "customer_id" are the same."""
    return re.sub(r"[\W_]", "", name).casefold()


def is_opt_out(value: Any) -> bool:
    """Whether `value`, as that of `opted_out`, says that the customer opted out."""
    try:
        return outcome_word(value) == "opted-out" or values.truth(value) is True
    except ValueError:
        return False


def reply_text(value: Any) -> Any:
    """What a customer wrote; a number as its digits."""
    return values.digits(unless_unknown(value)) if not isinstance(value, str) else value


def opted_out(value: Any) -> bool | None:
    """A truth value, or a word for an opt-out. Raises ValueError."""
    return True if is_opt_out(value) else values.truth(value)


NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f-\x9f]*$"
MAX_TEXT_LENGTH = 200

Id = Annotated[
    str,
    Field(min_length=1, max_length=values.MAX_ID_LENGTH, pattern=NO_CONTROL_CHARACTERS),
    BeforeValidator(values.identifier),
]
_Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH, pattern=NO_CONTROL_CHARACTERS)] | None
OptionalText = Annotated[_Text, values.Fact(values.text(MAX_TEXT_LENGTH))]
OptionalYesNo = Annotated[_Text, values.Fact(values.yes_no)]
OptionalOptOut = Annotated[bool | None, values.Fact(opted_out)]
OptionalNumber = Annotated[
    Annotated[float, Field(strict=True, ge=0, le=1e9)] | None, values.Fact(values.number(at_most=1e9))
]
OptionalWholeNumber = Annotated[
    Annotated[float, Field(strict=True, ge=0, le=1e5, multiple_of=1)] | None,
    values.Fact(values.number(at_most=1e5, whole=True)),
]
OptionalProbability = Annotated[
    Annotated[float, Field(strict=True, ge=0, le=1)] | None, values.Fact(values.probability)
]


class FrozenModel(BaseModel):
    """An immutable model, compared by value, that ignores fields it does not know.

    The docstring under a field is its description in JSON schemas.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class Message(FrozenModel):
    """A message on a topic."""

    topic: ClassVar[str]

    id: UUID
    """Id of this message, derived from its cause: repeating the cause repeats the id."""
    event_id: Id
    """Id of the customer event that caused this message; 1 to 128 characters."""
    customer_id: Id
    """Your id of the customer; 1 to 128 characters."""

    @classmethod
    def caused_by(cls, cause: Message, **fields: Any) -> Self:
        """The message that follows from `cause`: fields that both types have are copied, unless given in `fields`.

        The id is derived from that of `cause`, so a redelivered `cause` gives the same message again.
        """
        inherited = {name: getattr(cause, name) for name in _shared_fields(cls, type(cause))}
        return cls(**{**inherited, **fields, "id": uuid5(cause.id, cls.topic)})

    @cached_property
    def data(self) -> bytes:
        """This message as JSON. Cached: a copy made by `model_copy` would keep the old bytes."""
        return self.model_dump_json().encode()

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """Read the JSON `data` that the bus delivered under `message_id`.

        Raises `pydantic.ValidationError`, a ValueError.
        """
        return cls.model_validate_json(data)


@cache
def _shared_fields(message_type: type[Message], cause_type: type[Message]) -> frozenset[str]:
    return frozenset(message_type.model_fields.keys() & cause_type.model_fields.keys())


class Customer(FrozenModel):
    """The facts about a customer that a decision and its message are based on; all are optional."""

    name: OptionalText = None
    """Name of the customer. Only the first word is used, to greet them."""
    plan: OptionalText = None
    """Name of the plan that the customer subscribes to, as it may appear in a message."""
    time_zone: OptionalText = None
    """IANA time zone of the customer, such as Europe/Madrid. Decides when quiet hours hold."""
    opted_out: OptionalOptOut = None
    """Whether the customer does not want to be contacted."""
    tenure: OptionalWholeNumber = None
    """Whole months as a customer."""
    monthly_charges: OptionalNumber = None
    """Current monthly bill, in your currency. Without it no discount is offered, because its cost is unknown."""


class CustomerFacts(Customer):
    """Facts about a customer. All are optional; an unknown fact is null or left out.

    A category that the models were not trained on counts as unknown. `FACTS` reads the facts in other spellings.
    """

    total_charges: OptionalNumber = None
    """Everything billed so far, in your currency."""
    contract: OptionalText = None
    """Month-to-month, One year or Two year."""
    payment_method: OptionalText = None
    """Such as Electronic check, Mailed check, Bank transfer (automatic) or Credit card (automatic)."""
    paperless_billing: OptionalYesNo = None
    """Yes or No."""
    gender: OptionalText = None
    """Female or Male."""
    senior_citizen: OptionalYesNo = None
    """Yes or No: 65 years or older."""
    partner: OptionalYesNo = None
    """Yes or No: lives with a partner."""
    dependents: OptionalYesNo = None
    """Yes or No: lives with children or other dependents."""
    phone_service: OptionalYesNo = None
    """Yes or No."""
    multiple_lines: OptionalYesNo = None
    """Yes, No or No phone service."""
    internet_service: OptionalText = None
    """DSL, Fiber optic or No."""
    online_security: OptionalYesNo = None
    """Yes, No or No internet service."""
    online_backup: OptionalYesNo = None
    """Yes, No or No internet service."""
    device_protection: OptionalYesNo = None
    """Yes, No or No internet service."""
    tech_support: OptionalYesNo = None
    """Yes, No or No internet service."""
    streaming_tv: OptionalYesNo = None
    """Yes, No or No internet service."""
    streaming_movies: OptionalYesNo = None
    """Yes, No or No internet service."""

    age: OptionalWholeNumber = None
    """Age in whole years."""
    job: OptionalText = None
    """Kind of job, such as admin., technician or retired."""
    marital: OptionalText = None
    """Marital status: single, married or divorced."""
    education: OptionalText = None
    """Education, such as high.school or university.degree."""
    credit_default: OptionalYesNo = None
    """Yes or No: has credit in default."""
    housing_loan: OptionalYesNo = None
    """Yes or No: has a housing loan."""
    personal_loan: OptionalYesNo = None
    """Yes or No: has a personal loan."""
    contact_channel: OptionalText = None
    """How earlier campaigns reached the customer: cellular or telephone."""
    days_since_campaign: OptionalWholeNumber = None
    """Whole days since an earlier campaign last reached the customer."""
    previous_contacts: OptionalWholeNumber = None
    """Number of contacts in earlier campaigns."""
    previous_outcome: OptionalText = None
    """Outcome of the earlier campaign: success, failure or nonexistent."""

    churn_risk: OptionalProbability = None
    """Probability from 0 to 1 that the customer leaves, if you know it; used instead of the model's."""


def json_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object, in any Unicode encoding. Raises ValueError where `data` is not JSON, or of another type."""
    try:
        value = from_json(data)
    except ValueError as error:
        if (encoding := detect_encoding(data)) == "utf-8":
            raise ValueError(f"not JSON: {error}") from error
        try:  # with a byte-order mark, or UTF-16
            value = from_json(data.decode(encoding))
        except ValueError:
            raise ValueError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object but {type(value).__name__}; send one object in a message")
    return value


def read_fields(fields: Mapping[str, Any], readers: Mapping[str, values.Reader]) -> dict[str, Any]:
    """The fields that have a reader, as it reads them. Raises ValueError, which names all that cannot be read."""
    read, errors = {}, []
    for name, value in fields.items():
        if reader := readers.get(name):
            try:
                read[name] = reader(value)
            except ValueError as error:
                errors.append(f"{name}: {error}")
    if errors:
        raise ValueError("; ".join(errors))
    return read


def unless_unknown(value: Any) -> Any:
    """The value, or None where it stands for an unknown one."""
    return None if values.is_unknown(value) else value


def optional_id(value: Any) -> str | None:
    """An id, or None where it is unknown. Raises ValueError."""
    return None if values.is_unknown(value) else values.identifier(value)


FACTS: dict[str, values.Reader] = {
    name: item.read
    for name, field in CustomerFacts.model_fields.items()
    for item in field.metadata
    if isinstance(item, values.Fact)
}
"""How each fact about a customer is read, from an event or from a cell of a table."""
EVENT_FIELDS = {**FACTS, "event_id": optional_id, "customer_id": values.identifier, "occurred_at": unless_unknown}


class CustomerEvent(CustomerFacts, Message):
    """Something that happened to a customer. Only `customer_id` is required.

    Give an `event_id` of your own if you may publish the same event more than once: it is then decided once.
    """

    topic = "customer-events"

    occurred_at: AwareDatetime | None = None
    """When it happened: ISO 8601 with a time zone."""

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """Read an event. Without an `event_id` it is identified by the `message_id` that delivered it.

        Facts may also stand under `customer_facts`.
        """
        fields = json_object(data)
        if not fields.keys() <= EVENT_FIELDS.keys():
            fields = _with_elsewhere(fields)
        if _is_plain(fields.values()):
            try:
                return cls._identified(fields, message_id)
            except ValueError:
                pass  # what is wrong is said below, in plain words
        return cls._identified(read_fields(fields, EVENT_FIELDS), message_id)

    @classmethod
    def _identified(cls, facts: Mapping[str, Any], message_id: str) -> Self:
        given = facts.get("event_id")
        event_id = str(uuid5(ID_NAMESPACE, message_id)) if given is None else values.identifier(given)
        return cls.model_validate({**facts, "event_id": event_id, "id": uuid5(ID_NAMESPACE, event_id)})


def _is_plain(facts: Iterable[Any]) -> bool:
    """Whether no text among the facts says that it is unknown, or is a truth value.

    Then the facts mean what their JSON types say if they fit the types of the fields, and need not be read one by one.
    """
    return SPELLINGS.isdisjoint([fact.strip() for fact in facts if type(fact) is str])


SPELLINGS = frozenset(
    spelling
    for word in values.UNKNOWN | values.TRUE | values.FALSE
    for spelling in (word, word.upper(), word.capitalize())
) - {"Yes", "No"}


def _with_elsewhere(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with those under `customer_facts`, and with an opt-out that stands in a field of another name.

    Where a fact is given twice, that under `customer_facts` counts unless it is unknown; an opt-out always counts.
    Raises ValueError where the fields are those of an outcome that is read for an opt-out: an event would lose it.
    """
    nested = {} if values.is_unknown(fields.get("customer_facts")) else fields["customer_facts"]
    if not isinstance(nested, dict):
        raise ValueError(f"customer_facts: not a JSON object but {type(nested).__name__}")
    if outcome_word(fields.get("outcome")) in ("opted-out", "replied"):
        raise ValueError("outcome: this is no event but an outcome; publish it to outcomes")
    flat = {**fields, **{name: value for name, value in nested.items() if not values.is_unknown(value)}}
    return {**flat, "opted_out": True} if has_opt_out(fields) or has_opt_out(nested) else flat


class Reason(FrozenModel):
    """The contribution of one fact to a churn risk (its SHAP value)."""

    feature: str
    """Name of the fact."""
    contribution: float
    """Change of the risk's log-odds: above 0 the fact raises the risk, below 0 it lowers it."""


class ScoredCustomer(CustomerFacts, Message):
    """A customer event with the predictions for that customer. Carries all facts, so they can be scored again later."""

    topic = "scored-customers"

    churn_risk: Probability
    """Probability from 0 to 1 that the customer leaves."""
    churn_risk_source: Literal["model", "caller"] = "model"
    """Where the risk is from: `model`, or `caller` where it came with the event."""
    accept_probs: Annotated[tuple[Probability, ...], Field(min_length=len(OFFERS), max_length=len(OFFERS))]
    """Probability from 0 to 1 that the customer accepts an offer, at each offer level: 0, 5, 10 and 15 % discount."""
    reasons: tuple[Reason, ...] = ()
    """The facts that contribute most to the risk, strongest first."""
    versions: dict[str, str] = {}
    """Version of the model of each service that handled the event."""
    times: dict[str, AwareDatetime] = {}
    """When the event occurred, and when each service handled it."""


class Action(FrozenModel):
    """The action decided for a customer."""

    contact: bool
    """Whether to contact the customer. Without contact there is no offer."""
    offer_level: Annotated[int, Field(ge=0, lt=len(OFFERS))] = 0
    """Level of the discount, 0 (none) to 3 (the highest)."""
    offer_percentage: int = 0
    """Discount on the next bill, in percent: 0, 5, 10 or 15."""
    delay_days: Annotated[int, Field(ge=0, le=7)] = 0
    """Days until the customer is reviewed without a new event, 1 to 7; 0 is only at their next event."""
    estimated_retention_prob: Probability
    """Estimated probability from 0 to 1 that the customer stays after this action."""


class Metadata(FrozenModel):
    """How a decision came about."""

    churn_risk: Probability
    """Probability from 0 to 1 that the customer leaves."""
    churn_risk_source: Literal["model", "caller"] = "model"
    """Where the risk is from: `model`, or `caller` where it came with the event."""
    accept_prob: Probability
    """Probability from 0 to 1 that the customer accepts the offer at the chosen level."""
    accept_probs: tuple[Probability, ...] = ()
    """The same at each offer level: 0, 5, 10 and 15 % discount."""
    expected_value: float
    """Expected gain of this action over doing nothing, in your currency."""
    propensity: Probability
    """Probability from 0 to 1 with which the policy chose this action among those allowed; 1 without exploration."""
    action_probs: tuple[Probability, ...] = ()
    """Probability of each action the policy could choose: no contact, then contact at each offer level."""
    observation: tuple[float, ...] = ()
    """The nine inputs of the policy network, each from 0 to 1: churn risk; four acceptance probabilities;
    `budget_remaining`, which is 1 / (1 + shadow price of the budget); days since the last contact; `cooldown_active`,
    which is 1 in the cooldown and while an accepted offer has an effect; and recent contacts."""
    policy: str
    """Name of the policy that decided: ppo, index or baseline."""
    price: float = 0
    """Shadow price of the budget, from 0 up: 1 unit of spend counts as 1 + price."""
    gate: tuple[str, ...] = ()
    """The rules that forbade contact or an offer, such as opted-out, unread-reply, bounced, cooldown or over budget."""
    holdout: bool = False
    """Whether the customer is in the control group, which is never contacted."""
    reserved: float = 0
    """Budget reserved for the offer, in your currency: what it costs if accepted."""
    assumed: tuple[str, ...] = ()
    """Facts that were unknown and replaced by an assumption."""
    reasons: tuple[Reason, ...] = ()
    """The facts that contribute most to the risk, strongest first."""
    writer: str | None = None
    """Name of the writer of the message: local, vllm or template."""
    rejected: tuple[str, ...] = ()
    """Candidate messages that were not sent, each as its writer and the safety rule it broke."""


class DecisionDraft(FrozenModel):
    """The part of a decision that is final before its message is written."""

    decision: Action
    """What was decided."""
    metadata: Metadata
    """How it was decided."""
    versions: dict[str, str] = {}
    """Version of the model of each service that handled the event."""
    times: dict[str, AwareDatetime] = {}
    """When the event occurred, and when each service handled it."""


Concern = Literal["price", "service", "contract"]


class Brief(FrozenModel):
    """The facts that a message may contain, and no others."""

    offer_percentage: int
    """Discount on the next bill, in percent: 0, 5, 10 or 15."""
    expires_on: date | None = None
    """Last day on which the offer can be accepted; null without a discount."""
    first_name: str | None = None
    """First name of the customer."""
    tenure_months: int | None = None
    """Whole months as a customer."""
    plan: str | None = None
    """Name of the customer's plan."""
    concern: Concern | None = None
    """Subject of the strongest reason to leave; sets the tone."""


class PlannedContact(DecisionDraft, Message):
    """A decision to contact a customer, for which a message is to be written."""

    topic = "planned-contacts"

    brief: Brief
    """What the message may say."""
    time_zone: str | None = None
    """IANA time zone of the customer, such as Europe/Madrid."""


class Candidate(FrozenModel):
    """A message that could be sent."""

    text: str
    """The message itself."""
    writer: str
    """Name of the writer: local, vllm or template."""


class DraftedMessage(PlannedContact):
    """A planned contact with the messages written for it."""

    topic = "drafted-messages"

    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]
    """Candidates for the message, best first; the last one is always the template."""


class Safety(FrozenModel):
    """Which safety rules a message broke."""

    passed: bool = True
    """Whether a message passed every rule, or none was needed."""
    violations: tuple[str, ...] = ()
    """The rules that were broken where no message passed; it is then withheld."""


class Decision(DecisionDraft, Message):
    """The one decision about a customer event.

    It may be delivered more than once, always equal: keep the first of each `event_id`.
    """

    topic = "decisions"

    message: str | None = None
    """Text to send to the customer; null without contact."""
    deliver_after: AwareDatetime | None = None
    """Earliest time to send the message, because of quiet hours; null is at once."""
    safety: Safety = Safety()
    """Whether the message passed the safety rules, and which it broke."""


class Outcome(Message):
    """The outcome of a decision, or a customer's reply or request. May be published in any order and repeatedly."""

    topic = "outcomes"

    event_id: Annotated[str, Field(max_length=values.MAX_ID_LENGTH, pattern=NO_CONTROL_CHARACTERS)] = ""
    """Id of the event that was decided; may be empty for opted-out, replied and erased."""
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
    """What happened. `withheld` is published by the shield: no message passed the safety rules."""
    text: str | None = None
    """What the customer wrote, for `replied`. It is read and not stored, unless it is unclear and a person has to read
    it."""
    occurred_at: AwareDatetime | None = None
    """When it happened: ISO 8601 with a time zone."""

    @model_validator(mode="after")
    def _check_required_fields(self) -> Self:
        if not self.event_id and self.outcome not in EVENTLESS:
            raise ValueError(f"event_id: required for {self.outcome}; only {', '.join(EVENTLESS)} may omit it")
        if self.outcome == "replied" and self.text is None:
            raise ValueError("text: required for replied")
        return self

    @classmethod
    def parse(cls, data: bytes, message_id: str) -> Self:
        """Read an outcome. The same outcome of the same event has the same id, whoever reports it, however often.

        What a customer says is the same if it was said at the same time: one may write STOP, START and STOP again.
        """
        given = json_object(data)
        read = read_fields(given, OUTCOME_FIELDS)
        if read.get("outcome") != "opted-out" and not given.keys() <= OUTCOME_FIELDS.keys() and has_opt_out(given):
            raise ValueError("opted_out: publish an outcome of its own for it, opted-out")
        fields = {name: value for name, value in read.items() if value is not None}
        identifying = [fields.get("event_id") or message_id, fields.get("outcome"), fields.get("text")]
        if fields.get("outcome") in EVENTLESS:
            identifying += [fields.get("customer_id"), fields.get("occurred_at") or message_id]
        identity = "/".join(str(value) for value in identifying if value is not None)
        return cls.model_validate(fields | {"id": uuid5(ID_NAMESPACE, identity)})


OUTCOME_FIELDS = {
    "event_id": optional_id,
    "customer_id": values.identifier,
    "outcome": outcome_word,
    "text": reply_text,
    "occurred_at": unless_unknown,
}
EVENTLESS = ("opted-out", "replied", "erased")
"""Outcomes that need no event."""

MESSAGE_TYPES: dict[str, type[Message]] = {
    message_type.topic: message_type
    for message_type in (CustomerEvent, ScoredCustomer, PlannedContact, DraftedMessage, Decision, Outcome)
}
"""The type of the messages on each topic."""
