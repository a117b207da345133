"""The first name and the plan that a message may say, and notes that people write where a name belongs.

What may be a placeholder, a title, a note or markup is left out: a message without a name is better than a wrong one.
"""

import re
import unicodedata
from functools import lru_cache

from shared.values import UNKNOWN, is_unknown

MAX_LENGTH = 30
"""Most characters of a name or a plan."""

TITLES = frozenset(
    "mr mrs ms miss mx dr prof professor sir madam madame mme mlle mons monsieur m herr frau hr fr fräulein dipl sr sra"
    " srta señor señora señorita senor senora dott dottore dottoressa sig signor signora signore dhr mevr mevrouw pan"
    " pani rev reverend father sister capt captain col lt sgt maj gen hon judge lord lady dame sheikh haji shri smt"
    " herrn fru bay engr eheleute pastor rabbi imam doña dona kumari bapak ibu tuan puan г-н г-жа господин"
    " госпожа السيد السيدة".split()
)
"""Titles before a name, in lower case and without a point."""
SUFFIXES = frozenset("phd md jr sr ii iii iv esq mba ma ba msc bsc dds cpa rn".split())
"""What may follow a name and a comma, in lower case and without points."""
NOT_NAMES = frozenset(
    # placeholders
    "test testing tester teste prueba prova essai user usuario utilisateur benutzer customer client cliente kunde"
    " cust guest member subscriber name firstname fname first last lastname surname fullname vorname nachname nombre"
    " nome prénom prenom anonymous anon anonym anonymus anónimo nobody noname no not sample demo dummy example admin"
    " administrator system root default placeholder string foo bar asdf qwerty xx xxx xxxx tbd tba unbekannt"
    " desconocido desconocida inconnu inconnue desconhecido sconosciuto onbekend неизвестно тест новый"
    " fnu lnu unk unkn blank empty missing withheld undisclosed unspecified pending temp temporary tbc abc abcd qwertz"
    " error void n a v nn keine sin sans true false inf noreply имя 未知 テスト mustermann"
    # salutations, what stands between two people, and parts of surnames
    " hello hi hey there friend the and und et y or oder ou von van der den de del della di du le ter zu"
    # departments and numbers
    " accounts accounting accountant billing sales info office reception manager business mobile landline phone"
    " home work current tenant landlord self"
    # notes
    " vip fraud debt bad collections blocked closed cancelled canceled deleted removed redacted private hidden"
    " duplicate old new ex former staff employee internal account company household family resident occupant owner"
    " firma familie familia famille"
    " valued dear wrong invalid do dont never deceased dead dnc dnd see inactive terminated suspended suspected dup"
    " complaint complainer scammer bankrupt bankruptcy lawsuit litigation attorney lawyer legal minor hospice in"
    " difficult angry rude late chargeback moved delete executor stop front your nope".split()
)
"""First words that are no first name, in lower case."""
NOT_PLANS = UNKNOWN | frozenset(
    "test testing default placeholder dummy sample example other tbd tba tbc no plan nothing blank empty missing error"
    " invalid unassigned unspecified not yet set given available applicable assigned specified provided selected"
    " cancelled canceled terminated expired inactive closed suspended customer user keine keiner ninguno sin aucun sans"
    " nessuno nenhum true false xxx n a name vip fraud".split()
)
"""Words of which a text that is no plan consists, in lower case."""

_organisation = re.compile(r"(?<!\w)(?:ltd|limited|llc|inc|corp|gmbh|ag|kg|sarl|s\.?a\.?|b\.?v|plc|pty|company)\.?$")
_no_word = re.compile(r"[a-z]|(\w)\1{2,}")
"""An initial, or one letter again and again."""
_no_contact_note = re.compile(
    r"(?<!\w)(?:"
    r"deceased|decd|dec'd|died|dead|passed (?:away|on)|the late(?= \w)"
    r"|r\.i\.p\.?|rip$|d\.n\.c\.?|(?:estate|executor) of"
    r"|verstorben\w*|gestorben|fallecid[oa]|difunt[oa]|décédée?|decedee?|falecid[oa]|deceduto|deceduta|defunt[oae]?"
    r"|overleden|avliden|zmarł\w*|умер(?:ла)?|vefat\w*|متوفى|متوفي"
    r"|stop (?:call|contact|text|e-?mail|messag|mail)ing|blacklist(?:ed)?|unsubscribe|cease and desist"
    r"|(?:do ?not|don'?t|never|no|not to be|nicht|ne pas|niet|não|nao|non) ?"
    r"(?:(?:further|more) )?(?:call|contact|text|sms|e-?mail|mail|message|write|send|disturb|phone|ring"
    r"|market|approach|solicit|llamar|contactar"
    r"|molestar|appeler|contacter|déranger|anrufen|kontaktieren|stören|bellen|contatar|ligar|chiamare|contattare)\w*"
    r"|dnc|dnd|opt(?:ed)?[ -]?out|unsubscribed|kein(?:e|en)? (?:kontakt|werbung|anrufe)|kontaktsperre"
    r"|werbesperre|nie dzwonić|покойн\w*|не звонить|не беспокоить"
    r")(?!\w)|†|\((?:tot|dead|late|mort|morto|muerto)\)|已故|去世|死亡|勿扰|勿擾|故人|사망|请勿联系|請勿聯絡"
)


def first_name(name: str | None) -> str | None:
    """The first name, if it is letters with marks, apostrophes and hyphens between them, and not too long.

    A word alone after a title is a surname, by which nobody is greeted; nor is it by an initial. "Smith, Anna" is read
    as "Anna Smith".
    """
    text = normalized(name)
    family, _, given = text.partition(", ")
    words = (family if given.casefold().replace(".", "") in SUFFIXES else given or text).split(" ")
    titled = _is_title(words[0])
    while len(words) > 1 and _is_title(words[0]):
        words = words[1:]
    first, plain = words[0], words[0].casefold()
    is_name = (
        first[:1].isalpha()
        and _is_letter(first[-1])
        and len(first) <= MAX_LENGTH
        and all(_is_letter(character) or character in "'’-" for character in first)
        and not (titled and len(words) == 1)
        and not _no_word.fullmatch(plain)
        and plain not in NOT_NAMES
        and not is_unknown(plain)
        and not has_no_contact_note(name)
        and not _organisation.search(text.casefold())
    )
    return first if is_name else None


def plan_name(plan: str | None) -> str | None:
    """The plan, if it is letters, digits, spaces, hyphens and plus signs, and not too long."""
    plan = normalized(plan)
    is_plan = (
        plan[:1].isalpha()
        and len(plan) <= MAX_LENGTH
        and all(_is_letter(character) or character.isdigit() or character in " -+" for character in plan)
        and not NOT_PLANS.issuperset(plan.casefold().split(" "))
        and not has_no_contact_note(plan)
    )
    return plan if is_plan else None


@lru_cache(maxsize=4096)
def has_no_contact_note(text: str | None) -> bool:
    """Whether the text is, or contains, a note such as "deceased" or "do not call"."""
    return bool(
        text and (_no_contact_note.search(normalized(text).casefold()) or _no_contact_note.search(_words(text)))
    )


def is_no_contact_note(text: str | None) -> bool:
    """Whether the text is such a note and nothing else."""
    return bool(text and _no_contact_note.fullmatch(_words(text)))


def normalized(text: str | None) -> str:
    """As the shield reads it: single spaces, and one way to write each letter (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text or "").split())


def _words(text: str) -> str:
    return re.sub(r"[\s_*()\[\]!/:;,-]+", " ", normalized(text).casefold().replace("’", "'")).strip()


def _is_title(word: str) -> bool:
    return word.casefold().removesuffix(".") in TITLES


def _is_letter(character: str) -> bool:
    """A letter or a mark."""
    return unicodedata.category(character)[0] in "LM"
