"""Bad habits of people who write messages. Each takes a good message's parts and spoils them.

Those in BREAKING say what the shield lets nobody say; those in WORSE are allowed, and worse.
"""

from collections.abc import Callable, Sequence

import numpy as np

from services.messenger.prompt import slot_values
from shared.messages import Brief
from training.messenger.corpus.grammar import CALLS, Parts, phrase, pick, say
from training.messenger.corpus.phrases import GREETINGS, lines

Habit = Callable[[Parts, Brief, np.random.Generator], Parts]

BANNED = lines("""
{Act now|Hurry}, this {won't last|is for a limited time}.
This is your last chance.
{Don't miss|Please don't miss} {this|out}.
This is {urgent|a final notice}.
It's {risk-free|free|guaranteed}.
We guarantee {you'll love it|the best price|the lowest price}.
{Congratulations|You're a winner}!
""")
INVENTED = lines("""
You could save {20|25|30|40|50}%.
That's {$10|$20|$50|20 dollars|50 euros} {for|back to} you.
Get {2|3|two|three} months {more|on us}.
It takes {1 minute|2 minutes|30 seconds}.
Join {10,000|2 million|5,000} happy customers.
We've been {here|around} for {10|20|25} years.
Call {555 0100|0800 1234|us at 5550199}.
""")
SIGNED = lines("""
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
COLD = lines("""
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
MORE = lines("""
{Call|Visit|Write to} us{, too| as well|}.
{Follow us|Rate us|Recommend us to your friends}{, too| as well|}.
{Visit a shop|Check your account|Update your details} and {call|write to} us.
Tell your friends, {rate us|follow us} and {call us|visit us}.
""")
NO_WAY = lines("""
We'd like to {take|give you} [OFFER] off your next bill.
[OFFER] off your next bill {is waiting for you|could be yours}.
Reply KEEP for [OFFER] off your next bill.
Take [OFFER] off your next bill {soon|before it ends}.
""")
NO_QUESTION = lines("""
That's all we wanted to say.
We just wanted you to know.
There's no need to do anything.
""")
"""Of the habits, the words."""


def of(brief: Brief) -> Sequence[Habit]:
    """Those that a message of this brief can have."""
    breaking = BREAKING + (forgets_the_name,) * bool(brief.first_name) + (asks_for_yes,) * bool(brief.offer_percentage)
    return breaking + WORSE + (ignores_the_concern,) * bool(brief.concern)


def adds(among: Sequence[str]) -> Habit:
    """The habit of a sentence too much, as the last or before the last."""

    def habit(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
        said = phrase(rng, among, slot_values(brief))
        *before, last = parts.items()
        return dict([*before, ("added", said), last] if rng.random() < 0.5 else [*before, last, ("added", said)])

    return habit


def too_long(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    return parts | {"added": " ".join(phrase(rng, RAMBLING, ()) for _ in range(2))}


def too_short(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    return _greeted(brief) | {"added": "[OFFER]: KEEP?" if brief.offer_percentage else "Happy?"}


def asks_for_yes(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    return {part: said.replace("KEEP", "YES") for part, said in parts.items()}


def forgets_the_name(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    return {"greeting": pick(rng, GREETINGS[False])} | _nameless(parts)


def forgets_how(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    """To accept the offer, and often until when; or to ask anything."""
    said = phrase(rng, NO_WAY if brief.offer_percentage else NO_QUESTION, slot_values(brief))
    return _greeted(brief) | {part: said if part in CALLS else other for part, other in _nameless(parts).items()}


def ignores_the_concern(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    careless = brief.model_copy(update={"concern": None})
    about = ("concern", "fused", "after", "ask")
    return _greeted(brief) | {
        part: say(part, careless, rng) if part in about else said for part, said in _nameless(parts).items()
    }


def is_cold(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    """Officialese where thanks and warmth would be."""
    kept = {part: said for part, said in _nameless(parts).items() if part not in ("thanks", "ending", "concern")}
    return _greeted(brief) | {"added": phrase(rng, COLD, ())} | kept


def is_stark(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    """Nothing but the offer or the question."""
    return _greeted(brief) | {part: said for part, said in _nameless(parts).items() if part in CALLS}


def repeats(parts: Parts, brief: Brief, rng: np.random.Generator) -> Parts:
    return parts | {"added": next(said for part, said in _nameless(parts).items())}


def _greeted(brief: Brief) -> Parts:
    return {"greeting": "[NAME]" if brief.first_name else "Hello"}


def _nameless(parts: Parts) -> Parts:
    return {part: said.replace(", [NAME]", "") for part, said in parts.items() if part != "greeting"}


BREAKING: tuple[Habit, ...] = (adds(BANNED), adds(INVENTED), adds(SIGNED), too_long, too_short)
WORSE: tuple[Habit, ...] = (adds(PUSHY), adds(RAMBLING), adds(MORE), forgets_how, is_cold, is_stark, repeats)
