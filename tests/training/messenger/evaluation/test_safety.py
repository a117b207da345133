import time

import numpy as np
import pytest

from tests.support.briefs import EMPTY_BRIEF, FULL_BRIEF
from training.messenger.corpus.corpus import sample_briefs, write_message
from training.messenger.evaluation.safety import MISSING_FACT, broken_rules

GOOD = "Hi [NAME], thank you for [MONTHS] with us. Take [OFFER] off your next [PLAN] bill: reply KEEP by [EXPIRY]."


def test_a_good_text_breaks_no_rule() -> None:
    assert broken_rules(FULL_BRIEF, GOOD) == ()


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (GOOD.replace("Take", "Act now and take"), ("banned phrase: act now",)),
        (GOOD.replace("[NAME]", "there"), ("missing name",)),
        (GOOD.replace("[OFFER]", "20%"), ("missing offer", "ungrounded percentage: 20%", "ungrounded number: 20")),
        (GOOD.replace("KEEP", "YES"), ("banned phrase: reply yes", "ungrounded name: YES")),
        ("Hi [NAME]: [OFFER]?", ("length: 35 characters, not 50 to 200",)),
    ],
)
def test_the_rules_of_the_shield_apply_to_the_filled_text_with_its_closing(text: str, rules: tuple[str, ...]) -> None:
    assert broken_rules(FULL_BRIEF, text) == rules


@pytest.mark.parametrize("text", ["Hi [NAME], hello.", "Hi, enjoy [OFFER].", "For [WHOM] it may concern", ""])
def test_a_text_that_cannot_be_filled_lacks_a_fact(text: str) -> None:
    assert broken_rules(EMPTY_BRIEF, text) == (MISSING_FACT,)


def test_the_rule_of_length_applies_to_the_filled_text() -> None:
    long = FULL_BRIEF.model_copy(update={"first_name": "A" + "b" * 90})
    assert broken_rules(long, GOOD)[0].startswith("length: ")


def test_a_thousand_texts_are_checked_in_a_second() -> None:
    rng = np.random.default_rng(0)
    pairs = [(brief, write_message(brief, rng, 0.3)) for brief in sample_briefs(rng, 200) for _ in range(10)]
    start = time.process_time()
    for brief, text in pairs:
        broken_rules(brief, text)
    assert len(pairs) / (time.process_time() - start) > 1_000  # 7,000 measured; a busy machine has less
