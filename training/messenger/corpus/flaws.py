"""Flaws of badly written messages: each is a function that adds a flaw to the sentences of a good message.

Those in RULE_BREAKING violate a rule of the shield; those in LOW_QUALITY break no rule, but make the message worse.
"""

from collections.abc import Callable, Sequence

import numpy as np

from services.messenger.prompt import slot_values
from shared.messages import Brief
from training.messenger.corpus.grammar import CALLS_TO_ACTION, Sentences, pick, sample_phrase, sample_sentence
from training.messenger.corpus.phrases import GREETINGS, lines

Flaw = Callable[[Sentences, Brief, np.random.Generator], Sentences]

BANNED_PHRASES = lines("""
{Act now|Hurry}, this {won't last|is for a limited time}.
This is your last chance.
{Don't miss|Please don't miss} {this|out}.
This is {urgent|a final notice}.
It's {risk-free|free|guaranteed}.
We guarantee {you'll love it|the best price|the lowest price}.
{Congratulations|You're a winner}!
""")
INVENTED_FACTS = lines("""
You could save {20|25|30|40|50}%.
That's {$10|$20|$50|20 dollars|50 euros} {for|back to} you.
Get {2|3|two|three} months {more|on us}.
It takes {1 minute|2 minutes|30 seconds}.
Join {10,000|2 million|5,000} happy customers.
We've been {here|around} for {10|20|25} years.
Call {555 0100|0800 1234|us at 5550199}.
""")
INVENTED_SIGNATURES = lines("""
Yours, {Alex|Emily|James|Kim|Maya}.
This is {Alex|Emily|James|Kim|Maya} from {support|customer care}.
{Best|Kind} wishes, {Alex|Emily|James|Kim|Maya}.
""")
PUSHY = lines("""
{Don't wait|You must decide soon|Do it today|Reply right now}{!|!!|!!!|.}
You {must|have to|need to} {reply|decide|act} {today|quickly|at once}.
{Only for you, only now|This offer won't come again|Everyone else has replied already}{!|!!|.}
You'd {be foolish|regret it} {to say no|if you don't reply}.
Think {hard|twice} before you leave{ us|}{!|.}
""")
IMPERSONAL = lines("""
This is a notice {about|regarding} your account.
{Our records show|Our system shows} that you are {an account holder|a subscriber}.
You are receiving this {notice|message} as {an account holder|a subscriber}.
{Regarding|With regard to} your {account|subscription}, please note the following.
Pursuant to our policy, {account holders|subscribers} are {informed|notified} as follows.
""")
RAMBLING = lines("""
As you may {or may not |}know, we've been thinking about {this|a few things}.
There are many things {we could say|to say} here, {perhaps|maybe} all of them.
It goes without saying, but {basically|actually} everything matters.
At the end of the day it is what it is, {and so on|to be honest}.
""")
EXTRA_REQUESTS = lines("""
{Call|Visit|Write to} us{, too| as well|}.
{Follow us|Rate us|Recommend us to your friends}{, too| as well|}.
{Visit a shop|Check your account|Update your details} and {call|write to} us.
Tell your friends, {rate us|follow us} and {call us|visit us}.
""")
OFFERS_WITHOUT_INSTRUCTIONS = lines("""
We'd like to {take|give you} [OFFER] off your next bill.
[OFFER] off your next bill {is waiting for you|could be yours}.
Reply KEEP for [OFFER] off your next bill.
Take [OFFER] off your next bill {soon|before it ends}.
""")
STATEMENTS_WITHOUT_QUESTION = lines("""
That's all we wanted to say.
We just wanted you to know.
There's no need to do anything.
""")


def applicable(brief: Brief) -> Sequence[Flaw]:
    """The flaws that a message for this brief can have."""
    breaking = RULE_BREAKING + (omit_name,) * bool(brief.first_name) + (wrong_keyword,) * bool(brief.offer_percentage)
    return breaking + LOW_QUALITY + (ignore_concern,) * bool(brief.concern)


def insert_sentence(phrases: Sequence[str]) -> Flaw:
    """The flaw of a superfluous sentence of these, as the last or before the last."""

    def flaw(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
        inserted = sample_phrase(rng, phrases, slot_values(brief))
        *before, last = sentences.items()
        return dict(
            [*before, ("added", inserted), last] if rng.random() < 0.5 else [*before, last, ("added", inserted)]
        )

    return flaw


def too_long(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    return sentences | {"added": " ".join(sample_phrase(rng, RAMBLING, ()) for _ in range(2))}


def too_short(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    return _plain_greeting(brief) | {"added": "[OFFER]: KEEP?" if brief.offer_percentage else "Happy?"}


def wrong_keyword(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    """The customer is asked to reply YES, which accepts no offer, instead of KEEP."""
    return {role: sentence.replace("KEEP", "YES") for role, sentence in sentences.items()}


def omit_name(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    return {"greeting": pick(rng, GREETINGS[False])} | _without_name(sentences)


def omit_instructions(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    """An offer that does not say how to accept it or until when; or, without an offer, no question."""
    phrases = OFFERS_WITHOUT_INSTRUCTIONS if brief.offer_percentage else STATEMENTS_WITHOUT_QUESTION
    replacement = sample_phrase(rng, phrases, slot_values(brief))
    return _plain_greeting(brief) | {
        role: replacement if role in CALLS_TO_ACTION else sentence
        for role, sentence in _without_name(sentences).items()
    }


def ignore_concern(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    without_concern = brief.model_copy(update={"concern": None})
    about_concern = ("concern", "concern_offer", "afterword", "concern_question")
    return _plain_greeting(brief) | {
        role: sample_sentence(role, without_concern, rng) if role in about_concern else sentence
        for role, sentence in _without_name(sentences).items()
    }


def impersonal_tone(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    """Bureaucratic language in place of thanks and warmth."""
    remaining = {
        role: sentence
        for role, sentence in _without_name(sentences).items()
        if role not in ("thanks", "ending", "concern")
    }
    return _plain_greeting(brief) | {"added": sample_phrase(rng, IMPERSONAL, ())} | remaining


def call_to_action_only(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    return _plain_greeting(brief) | {
        role: sentence for role, sentence in _without_name(sentences).items() if role in CALLS_TO_ACTION
    }


def repeat_sentence(sentences: Sentences, brief: Brief, rng: np.random.Generator) -> Sentences:
    return sentences | {"added": next(iter(_without_name(sentences).values()))}


def _plain_greeting(brief: Brief) -> Sentences:
    return {"greeting": "[NAME]" if brief.first_name else "Hello"}


def _without_name(sentences: Sentences) -> Sentences:
    return {role: sentence.replace(", [NAME]", "") for role, sentence in sentences.items() if role != "greeting"}


RULE_BREAKING: tuple[Flaw, ...] = (
    *(insert_sentence(BANNED_PHRASES), insert_sentence(INVENTED_FACTS), insert_sentence(INVENTED_SIGNATURES)),
    *(too_long, too_short),
)
LOW_QUALITY: tuple[Flaw, ...] = (
    *(insert_sentence(PUSHY), insert_sentence(RAMBLING), insert_sentence(EXTRA_REQUESTS)),
    *(omit_instructions, impersonal_tone, call_to_action_only, repeat_sentence),
)
