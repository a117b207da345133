"""The part that the customer wrote, and what is read of it."""

import pytest

from services.policy.replies.reader import ReplyReader
from services.policy.replies.written import written_part
from shared.artifacts import ARTIFACTS

READER = ReplyReader.load(ARTIFACTS / "replies")
OURS = "Hello Sam, we take 15% off your next bill if you reply KEEP by 11 December. Reply STOP to opt out."

ADDITIONS = {
    "gmail": f"\n\nOn Tue, 1 Dec 2026 at 10:00, Acme <a@acme.example> wrote:\n> {OURS}",
    "gmail, folded": f"\n\nOn Tue, 1 Dec 2026 at 10:00, Acme\n<a@acme.example> wrote:\n\n{OURS}",
    "spanish": f"\n\nEl mar, 1 dic 2026 a las 10:00, Acme escribió:\n> {OURS}",
    "french": f"\n\nLe mar. 1 déc. 2026 à 10:00, Acme a écrit :\n> {OURS}",
    "german": f"\n\nAm Di., 1. Dez. 2026 um 10:00 schrieb Acme <a@acme.example>:\n> {OURS}",
    "portuguese": f"\n\nEm ter., 1 de dez. de 2026 às 10:00, Acme escreveu:\n> {OURS}",
    "italian": f"\n\nIl giorno mar 1 dic 2026 alle ore 10:00 Acme ha scritto:\n> {OURS}",
    "outlook": f"\n\n-----Original Message-----\nFrom: Acme\nSent: Tuesday\nTo: Sam\nSubject: offer\n\n{OURS}",
    "outlook, german": f"\n\nVon: Acme\nGesendet: Dienstag\nAn: Sam\n\n{OURS}",
    "quoted line": f"\n> {OURS}",
    "our notice": "\nReply STOP to opt out.",
    "iphone": "\nSent from my iPhone",
    "iphone, one line": " Sent from my iPhone",
    "galaxy": "\n\nSent from my Galaxy S23",
    "iphone, spanish": "\nEnviado desde mi iPhone",
    "iphone, french": "\nEnvoyé de mon iPhone",
    "iphone, german": "\nVon meinem iPhone gesendet",
    "outlook for android": "\nGet Outlook for Android",
    "outlook for ios": "\n\nGet Outlook for iOS<https://aka.example/ios>",
    "signature": "\n-- \nSam Smith\nAcme Ltd, please do not stop by without notice",
    "disclaimer": "\n\nThis email is confidential. If you are not the intended recipient, delete it.",
    "footer": "\n\nTo unsubscribe from our newsletter click here: https://shop.example/unsubscribe",
    "footer with a bar": "\n\nUnsubscribe | Privacy policy | View in browser",
}
REACTIONS = [
    f"Liked “{OURS}”",
    "Liked “STOP”",
    "Loved “Reply STOP to opt out.”",
    "Disliked “Reply STOP to opt out.”",
    "Laughed at “KEEP”",
    "Emphasized “Reply STOP to opt out.”",
    f'Questioned "{OURS}"',
    "Liked an image",
    f"Reacted 👍 to “{OURS}”",
    '👍 to "Reply STOP to opt out"',
    "❤️ to “ KEEP ”",
    f"Removed a like from “{OURS}”",
    "Le gustó “STOP”",
    "A aimé « STOP »",
    "Gefällt „STOP“",
    "Curtiu “STOP”",
    "Ha messo mi piace a “STOP”",
    f"Liked “{OURS[:60]}…",
]
AUTOMATIC = [
    "I'm driving with Do Not Disturb turned on",
    "I'm driving with Do Not Disturb turned on. I'll see your message when I get where I'm going.",
    "(I'm not receiving notifications. If this is urgent, reply “urgent” to send a notification through.)",
    "Auto-reply: we received your text. Reply STOP to opt out of our messages.",
    "Automatic reply: Out of Office\n\nI stop reading mail until Monday.",
    "This mailbox is not monitored.",
    "This number is not monitored. Please do not reply.",
    "Message could not be delivered",
    "Delivery has failed to these recipients",
    "Free Msg: Unable to send message - Message Blocking is active.",
    "I am out of the office until Monday with no access to email.",
    "Respuesta automática: estoy de vacaciones",
    "Réponse automatique : je suis absent",
    "Automatische Antwort: Ich bin im Urlaub",
    "Resposta automática: estou de férias",
    "自动回复:我正在开车",
]


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=list(ADDITIONS))
@pytest.mark.parametrize(
    ("words", "kind"), [("STOP", "stop"), ("KEEP", "keep"), ("START", "resume"), ("thanks", "other")]
)
def test_what_a_phone_or_mail_program_adds_is_not_read(addition: str, words: str, kind: str) -> None:
    assert written_part(words + addition).text == words
    assert READER.read(words + addition) == kind


@pytest.mark.parametrize("words", ["STOP", "KEEP"])
def test_an_answer_below_the_quote_is_read(words: str) -> None:
    assert written_part(f"On Tue, 1 Dec 2026, Acme wrote:\n> {OURS}\n\n{words}").text == words
    assert written_part(f"> {OURS}\n{words}").text == words
    assert written_part(f"Reply STOP to opt out. {words}").text == words


@pytest.mark.parametrize("text", REACTIONS)
def test_a_reaction_is_no_reply(text: str) -> None:
    assert READER.read(text) == "other"


def test_words_below_a_reaction_are_read() -> None:
    assert READER.read("Liked “Hello Sam”\nSTOP") == "stop"


@pytest.mark.parametrize("text", AUTOMATIC)
def test_an_automatic_answer_is_no_reply(text: str) -> None:
    assert READER.read(text) == "other"


@pytest.mark.parametrize(
    "text",
    ["I'm driving, stop texting me", "I get your auto-reply every day, stop", "I am on vacation, don't text me again"],
)
def test_who_is_away_can_still_opt_out(text: str) -> None:
    assert READER.read(text) == "stop"


@pytest.mark.parametrize("text", ["I never wrote: stop", "from: me", "I got this from my iPhone shop", "-- stop --"])
def test_short_texts_that_look_like_additions_are_kept(text: str) -> None:
    assert written_part(text).text


def test_an_echo_of_our_message_is_no_reply() -> None:
    assert READER.read("Reply STOP to opt out.") == "other"
