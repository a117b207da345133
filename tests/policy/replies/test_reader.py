"""What replies are read as.

Many of these texts are in the training data: this shows that they stay right, not how new ones are read.
"""

from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from services.messenger import writers
from services.policy.replies.reader import ReplyReader
from services.shield.rules import REPLY_KEYWORDS
from shared.artifacts import ARTIFACTS, ArtifactError
from tests.policy.replies.phrases import KEEPS, NEVER_KEEPS, OTHERS, STOPS, UNCLEAR

READER = ReplyReader.load(ARTIFACTS / "replies")


def fails(kind: str, texts: list[str]) -> dict[str, str]:
    """The texts that are not read as this kind, and as what they are."""
    read = {text: READER.read(text) for text in texts}
    return {text: found for text, found in read.items() if found != kind}


def test_labelled_texts_are_read_as_labelled() -> None:
    assert not fails("stop", STOPS)
    assert not fails("keep", KEEPS)
    assert not fails("other", OTHERS)
    assert not fails("unclear", UNCLEAR)


@pytest.mark.parametrize("text", NEVER_KEEPS)
def test_a_refusal_or_another_keep_is_no_acceptance(text: str) -> None:
    assert READER.read(text) != "keep"


def test_keywords_are_read_in_the_languages_most_spoken() -> None:
    """English, Chinese, Hindi, Spanish, French, Arabic, Bengali, Portuguese, Russian, Urdu, Indonesian, German,
    Japanese, Marathi, Telugu, Turkish, Tamil, Vietnamese, Korean, Italian, and others."""
    assert not fails(
        "stop",
        "STOP 退订 रोकें ALTO ARRET إلغاء বন্ধ PARAR стоп بند BERHENTI Abmelden 停止 थांबवा ఆపు"
        " DUR நிறுத்து DỪNG 수신거부 BASTA"
        " 退訂 Désabonner desabonner стоп! ايقاف BAJA SAIR stopp AFMELDEN KONIEC στοπ הסר หยุด TIGIL لغو ACHA".split(),
    )
    assert not fails(
        "resume",
        "START UNSTOP 恢复 शुरू REANUDAR REPRENDRE ابدأ শুরু RETOMAR старт شروع MULAI"
        " ABONNIEREN 再開 BAŞLA 시작 INIZIA".split(),
    )
    assert not fails(
        "keep", "KEEP CONSERVAR GARDER BEHALTEN MANTENER 保留 رکھیں रखें ОСТАВИТЬ MANTIENI 유지 キープ".split()
    )


def test_misspelt_keywords_are_read() -> None:
    assert not fails(
        "stop", ["stpo", "sotp", "stoop", "stopp", "STOPPP", "st0p", "S T O P", "s.t.o.p", "ＳＴＯＰ", "stahp"]
    )
    assert not fails(
        "stop", ["unsubcribe", "unsuscribe", "UNSUBSCRIBED", "cancle", "remvoe", "🛑", "stop 🙏", "S\u200bTOP"]
    )
    assert not fails("keep", ["kepe", "keeep", "kep", "ＫＥＥＰ", "k e e p"])
    assert not fails("resume", ["unstopp", "strat", "START!", "un-stop"])
    assert "stop" not in {READER.read(word) for word in ("shop", "step", "top", "smart", "quiet", "send")}


def test_filler_and_names_beside_a_keyword_change_nothing() -> None:
    assert not fails("stop", ["STOP Sam", "please stop", "ok stop thanks", "Stop. Regards, John", "STOP - Peter Hall"])
    assert not fails(
        "stop", ["alto por favor", "arrêt svp", "bitte stopp", "стоп пожалуйста", "请停止", "もう停止してください"]
    )
    assert not fails(
        "keep", ["KEEP Sam", "Keep it. Sam", "KEEP, Maria", "keep. regards Tom", "KEEP 15%", "KEEP by 11 December"]
    )
    assert not fails("resume", ["start again please", "START Sam", "ok start", "start thanks"])


def test_complaints_and_questions_are_no_opt_out() -> None:
    assert not fails(
        "other",
        [
            "The wifi is annoying, it drops every evening",
            "Stop charging me twice",
            "Can I cancel this later?",
            "no more hidden fees please",
            "please stop raising my bill",
            "when does the discount end",
            "the router stopped working again",
            "please don't cancel my plan",
        ],
    )


def test_opt_outs_in_other_words_are_read() -> None:
    assert not fails(
        "stop",
        [
            "No further contact please",
            "Stop all communication",
            "No quiero más mensajes",
            "please take me off your texting list",
            "I do not want any more of your messages",
            "quit sending me these offers",
            "cancel these texts",
            "cancel subscription",
            "wrong number",
            "bitte keine Nachrichten mehr",
            "je ne veux plus recevoir vos messages",
            "não quero mais mensagens",
            "не пишите мне больше",
        ],
    )


def test_an_opt_out_in_one_sentence_wins() -> None:
    assert not fails(
        "stop",
        [
            "Love the service but stop texting me",
            "Thanks for everything\nSTOP\nSam",
            "My internet is slow. Please stop texting me.",
            "Great company! No more messages please. Have a nice day.",
            "KEEP? no. STOP",
            "Keep your discount and stop texting me",
        ],
    )


@pytest.mark.parametrize("text", ["", "  ", "\n", ".", "…", "\x00", "\ud800", "🙄", "\u200b"])
def test_a_text_without_words_is_no_request(text: str) -> None:
    assert READER.read(text) in {"other", "unclear"}


@pytest.mark.parametrize(
    "filler", ["a ", "please do not ", "s t o p-", "(", '"', "> x\n", "\nLiked “", "é", "On x\n", "Sent from "]
)
def test_the_time_of_a_long_text_does_not_grow_with_it(filler: str) -> None:
    def seconds(length: int) -> float:
        text, started = filler * (length // len(filler)), perf_counter()
        READER.read(text)
        return perf_counter() - started

    seconds(10_000)
    assert median(seconds(500_000) for _ in range(3)) < 10 * median(seconds(10_000) for _ in range(3)) + 0.01


def test_the_end_of_a_long_text_is_read() -> None:
    assert READER.read("a " * 200_000 + ". Stop") == "stop"
    assert READER.read("thank you. " * 20_000) != "keep"


def test_what_was_not_read_decides_nothing() -> None:
    """The middle of a text of any length is left out: then it is for a person."""
    assert READER.read("thanks. " * 2_000) == "unclear"


def test_a_reply_takes_a_small_multiple_of_normalising_it() -> None:
    texts = [*STOPS, *OTHERS, *KEEPS]
    READER.read(texts[0])

    def seconds() -> float:
        started = perf_counter()
        for text in texts:
            READER.read(text)
        return perf_counter() - started

    def loop() -> float:
        """Fifty thousand turns of a loop."""
        started = perf_counter()
        sum(i & 7 for i in range(50_000))
        return perf_counter() - started

    assert median(seconds() for _ in range(5)) / len(texts) < median(loop() for _ in range(5)) / 5


def test_the_replies_that_our_messages_ask_for_are_read() -> None:
    """And none of it is a word with which carriers do something else."""
    assert READER.read("KEEP") == "keep"
    assert READER.read("STOP") == "stop"
    assert {"KEEP", "STOP", "HELP"} == REPLY_KEYWORDS
    for words in (*writers.OFFER_TEMPLATES, *writers.SERVICE_TEMPLATES):
        assert READER.read(words) not in {"stop", "resume"}
        assert "YES" not in words.upper()


def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Train the model first"):
        ReplyReader.load(tmp_path)
