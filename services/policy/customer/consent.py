"""What a customer's text means: an opt-out (STOP), or the acceptance of an offer (KEEP).

It is recognised by keywords and a few patterns, in English and by the plainest words of some other languages. To miss
an opt-out is worse than to see one too many, so an unclear text is one.
"""

import re
import unicodedata

KEYWORDS = set(
    "stop stopp stopall unsubscribe unsub unsubcribe unsuscribe unsubscibe unsubscribed quit cancel end revoke optout"
    " remove enough cease desist arret alto basta parar baja stpo sotp stp tsop stoop stahp".split()
)
"""A sentence of these and of FILLER only is an opt-out: the carriers' keywords, and common misspellings."""
FILLER = set(
    "please pls plz ok okay now all just it this that thanks thank you ty hi hello hey the and i said the a again sir"
    " no yes sorry really right immediately today messages message texts text sms msgs msg service guys asap"
    " u kindly already".split()
)
"""Words that do not change the meaning of a keyword beside them."""
ACCEPTING = set(
    "keep yes yeah yep ok okay sure please pls i we ill id want wanna would will like love to hi hello thanks thank"
    " you it my me this that the offer discount deal price rate plan savings let lets us so much great".split()
)
"""A text accepts the offer if all its words are among these, and KEEP is one of them."""

_contact_verb = (
    r"(?:text|txt|messag|msg|sms|contact|call|writ|e ?mail|send|bother|spam|harass|pester|reach|annoy|bug|mail)\w*"
)
_message_noun = r"(?:texts?|txts?|messages?|msgs?|sms|e ?mails?|spam|ads?|promo\w*|offers|contact|calls?|stuff|crap)"
_determiner = r"(?:any|all|more|of|these|those|the|this|your|such)"
_recipient = r"(?:me|us|my (?:\w+ )?(?:number|name|contact|phone|details|info)|this number)"
_stop_verb = r"(?:stop|quit|cease|end|cancel|unsub\w*|opt(?:ed|ing)? ?out|remove|take me off|leave me alone)"
_negated_request = re.compile(
    r"\b(?:do not|dont|cannot|can not|cant|never|not|wont|wouldnt|couldnt|didnt|doesnt|non|without|no need to)"
    r" (?:(?:want|like|wish|need|have|going|plan)(?: (?:you|u|it|them|this|these))?(?: to)? |gonna |wanna |please )*"
    rf"{_stop_verb}(?:ping)?\b"
)
"""A negated wish to stop is no opt-out; it is removed before the patterns are searched."""
_stop_request = re.compile(
    "|".join(
        (
            # stop doing something
            r"\b(?:stop|quit|cease|no more|enough|discontinue|done with)(?: \w+){0,4}"
            rf" (?:{_contact_verb}|{_message_noun})\b",
            rf"\b(?:end|cancel|no|unwanted)(?: {_determiner})* {_message_noun}\b",
            r"\bno more$|\bno more of\b|\bnever again\b|\bno mas\b",
            r"\bstop (?:it|this|that|already|please|pls|now|you|u|immediately)\b",
            r"\bcancel (?:it|this|these|all|everything|(?:my |the )?subscription)\b|\bdiscontinue$",
            r"^(?:please |pls |just |hey |ok |kindly )*(?:stop|quit|cease) \w+ing\b",
            # do not do something
            rf"(?:\b(?:dont|do not|never|not to|no longer)|^not)(?: \w+){{0,5}} {_contact_verb}(?: \w+)?"
            r" (?:me|us|here|again|any ?more|any|ever|anything|my phone|this (?:number|phone))\b",
            r"\b(?:dont|do not|never|no longer|not) (?:\w+ ){0,2}(?:want|wish|need|care|like|prefer) (?:\w+ ){0,3}"
            rf"(?:{_contact_verb}|{_message_noun}|hear)\b",
            rf"\bnot to be {_contact_verb}|\bdo not (?:call|disturb)\b|\bdnc\b",
            rf"\b(?:dont|do not) use {_recipient}|\bnot wanted\b",
            r"\b(?:dont|do not|no)(?: \w+){0,2} (?:consent|permission)\b",
            # unsubscribe, opt out, withdraw consent
            r"\bunsub\w*|\bunsuscribe\w*|\bopt(?:ed|ing)?(?: \w+)? out\b|\boptout\b",
            rf"\b(?:remove|delete|erase|drop|take|get|scratch|lose|forget) {_recipient}\b",
            r"\boff (?:this|your|the) list\b",
            r"\b(?:withdraw|revoke)\w*(?: \w+)? (?:consent|permission)\b",
            r"\b(?:did not|didnt|never) (?:sign|consent|agree)",
            # a request to stop
            r"\b(?:want|need|like|wish|ask\w*|beg\w*|told|tell\w*)(?: (?:you|u|it|this|these|them|this all))? to "
            r"(?:stop|unsubscribe|quit)\b",
            r"\bmake (?:it|this|these|them) stop\b|\bhow (?:do|can|to)(?: (?:i|we|you))? stop\b",
            r"\b(?:can|could|will|would|wont|cant) (?:you|u|this|these|they)(?: all)?(?: please| just| pls)? stop\b",
            r"\b(?:please|pls|plz|just|said|must|should|need|kindly|beg you|time) (?:stop|remove)$",
            # anger, and texts that mean nothing else
            r"\bleave (?:me|us) (?:alone|be|in peace)\b|\blet me be\b|\b(?:go|stay) away\b|\bget lost\b|\bback off\b",
            r"\b(?:piss|fuck|bugger|sod) off\b|\b(?:fuck|screw) (?:you|u)\b|\bshut up\b|\bannoying\b",
            r"\b(?:not|un|no longer) ?interested\b|\bwrong (?:number|person)\b|\bspam(?:mers?|ming)?\b|\bharass\w*",
            r"\b(?:report(?:ing|ed)?|sue|suing|block(?:ing|ed)?) (?:you|u|this|your number)\b",
        )
    )
)
_non_word, _punctuation = re.compile(r"[^\w' ]+|_"), re.compile(r"[.,!?;:()\"\n–—…]+")
_opt_out_notice = re.compile(r"reply stop to opt out", re.I)
"""End of our own messages, which some phones quote in a reply."""
_stop_emoji = re.compile("[🛑🚫⛔🖕✋]")


def says_stop(text: str) -> bool:
    """Whether the text, or any part of it between punctuation marks or other signs, is an opt-out."""
    cleaned = _normalize(text)
    parts = [
        plain
        for separator in (_non_word, _punctuation)
        for part in separator.split(cleaned)
        if (plain := _plain_words(part))
    ]
    return _is_keyword(_plain_words(cleaned)) or any(_is_keyword(part) or _is_request(part) for part in parts)


def means_keep(text: str) -> bool:
    """Whether the text says KEEP and nothing that puts it in doubt."""
    words = set(_plain_words(_normalize(text)).split())
    return "keep" in words and words <= ACCEPTING


def _normalize(text: str) -> str:
    """The text in lower case and in NFKC form, without our own notice; a stop emoji becomes the word."""
    text = _stop_emoji.sub(" . stop . ", _opt_out_notice.sub("", text)).replace("’", "'")
    return unicodedata.normalize("NFKC", text).casefold()


def _plain_words(part: str) -> str:
    """The words without accents and apostrophes, and no letter more than twice in a row; "s t o p" becomes "stop"."""
    bare = "".join(c for c in unicodedata.normalize("NFD", part) if not unicodedata.combining(c))
    bare = re.sub(r"(\w)\1{2,}", r"\1\1", _non_word.sub(" ", bare.replace("'", "").replace("0", "o")))
    return re.sub(r"\b(\w(?: \w){3,})\b", lambda spaced: spaced[0].replace(" ", ""), " ".join(bare.split()))


def _is_keyword(part: str) -> bool:
    words = set(part.split())
    return bool(words & KEYWORDS) and words <= KEYWORDS | FILLER


def _is_request(part: str) -> bool:
    return bool(_stop_request.search(_negated_request.sub(" ", part)))
