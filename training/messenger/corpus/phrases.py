"""Phrases of the corpus. `{a|b}` is a choice; slots stand for the customer's facts.

Written for this project in the style of common retention messages; none comes from customer data.
"""


def lines(text: str) -> tuple[str, ...]:
    """The lines of a multi-line string, without the first and the last line break."""
    return tuple(text.strip().split("\n"))


GREETINGS = {
    True: "Hi [NAME]|Hi [NAME]|Hey [NAME]|Hello [NAME]|Hi there [NAME]|Hello again [NAME]|[NAME]".split("|"),
    False: "Hi|Hello|Hi there|Hello there|Hello again".split("|"),
}
FORMAL_GREETINGS = {
    True: "Dear [NAME]|Hello [NAME]|Good day [NAME]|[NAME]".split("|"),
    False: "Hello|Dear customer|Good day".split("|"),
}
"""Greetings in formal language; as in `GREETINGS`, the keys say whether the name is known."""

THANKS = lines("""
Thank you for [MONTHS] with us.
{Thanks|Thank you} for {staying|being|sticking} with us for [MONTHS].
Thank you for trusting us for [MONTHS].
Thank you for your [MONTHS] with us.
You've been with us for [MONTHS], and {we're grateful|that means a lot to us|we appreciate it}.
You've been a customer for [MONTHS], and we {don't take that for granted|value that}.
After [MONTHS] together, {we'd like to say thanks|a thank you is due|we want to say thank you}.
We're {grateful|thankful} for your [MONTHS] with us.
We've {enjoyed|loved} having you with us for [MONTHS].
It's been [MONTHS] since you joined us, and we're {glad you did|grateful}.
We {really |}appreciate your [MONTHS] with us.
{Thanks|Thank you} for [MONTHS] {on|with} [PLAN].
You've been on [PLAN] for [MONTHS], and we {appreciate it|thank you for it}.
Thank you for choosing [PLAN].
{Thanks|Thank you} for being {on|part of} [PLAN].
We hope you're enjoying [PLAN].
{It's good|We're happy|We're glad} to have you on [PLAN].
Thank you for {being|staying} with us.
Thanks for {being|staying} with us.
{It's good|We're happy|We're glad} to have you with us.
We're {so |}glad you're here.
We {really |}appreciate having you as a customer.
Thank you for {your trust|your loyalty|trusting us}.
As a valued customer, you mean a lot to us.
""")

OFFERS_AFTER_LEAD = lines("""
here's [OFFER] off your next {bill|[PLAN] bill}: reply KEEP by [EXPIRY] to {take it|accept|get it|use it}.
we'd {like|love} to {take|give you} [OFFER] off your next bill. {Just reply|Please reply|Reply} KEEP by [EXPIRY].
we'd like to give you [OFFER] off your next bill. If that sounds good, reply KEEP by [EXPIRY].
your next {bill|[PLAN] bill} {can|could} be [OFFER] {lower|smaller|lighter}: {just |}reply KEEP by [EXPIRY].
[OFFER] off your next {bill|[PLAN] bill} is yours if you reply KEEP by [EXPIRY].
we'll take [OFFER] off your next {bill|[PLAN] bill} if you reply KEEP by [EXPIRY].
there's [OFFER] off your next {bill|[PLAN] bill} {waiting for|set aside for} you. {Just reply|Reply} KEEP by [EXPIRY].
you can have [OFFER] off your next {bill|[PLAN] bill}. {Just reply|Simply reply|Reply} KEEP by [EXPIRY].
we're offering you [OFFER] off your next bill. To accept, {please |}reply KEEP by [EXPIRY].
""")
"""The offer, its expiry and how to accept it, each once; they may follow one of `topics.LEADS`."""
OFFERS = OFFERS_AFTER_LEAD + lines("""
{take|enjoy|have} [OFFER] off your next {bill|[PLAN] bill}: {just |please |}reply KEEP by [EXPIRY].
{just reply|please reply|reply} KEEP by [EXPIRY] {for|to get|to take} [OFFER] off your next {bill|[PLAN] bill}.
reply KEEP by [EXPIRY] and we'll take [OFFER] off your next {bill|[PLAN] bill}.
if you'd like [OFFER] off your next {bill|[PLAN] bill}, {please |just |}reply KEEP by [EXPIRY].
you have until [EXPIRY] to reply KEEP and {get|enjoy} [OFFER] off your next bill.
a reply of KEEP by [EXPIRY] {takes|gets you} [OFFER] off your next {bill|[PLAN] bill}.
would [OFFER] off your next {bill|[PLAN] bill} help? {Just reply|Please reply|Reply} KEEP by [EXPIRY].
""")

REPLY_REQUESTS = lines("""
{Just|Simply|Please} reply to this message.
{Reply|Please reply} and {tell us|let us know}.
A {short|quick} reply {is enough|is all it takes|would help us}.
{Just write|Write|Please write} back{, we'd love to know|, we read every answer|}.
Tell us in a {short |quick |}reply.
We'd {love|like} to hear from you: just reply.
We're listening: {just|please} reply.
{Let us know|Please let us know} by reply.
If you have a moment, {please |just |}reply to this message.
""")
"""How to answer a question."""

ENDINGS = lines("""
We'd love to keep you{ with us|}.
We're here if you need us.
It's good to have you with us.
We hope you'll stay{ with us|}.
Have a {lovely|good|nice} day.
Warm wishes from all of us.
{Thanks again|Thank you again}.
We're glad you're here.
Take care.
We hope to keep you smiling.
We're always here for you.
It would be a pleasure to keep you.
""")
