"""How ids, numbers and truth values are read."""

from math import inf, nan

import pytest

from shared.values import identifier, is_unknown, number, probability, text, truth, yes_no

amount, months, name = number(at_most=1e9), number(at_most=1e5, whole=True), text(max_length=200)


@pytest.mark.parametrize(
    ("expected", "spellings"),
    [
        (12, [12, 12.0, "12", " 12 ", "12.0", "+12", "12.", "1.2e1", "12,0", "１２", "\u00a012\u200b"]),
        (
            89.99,
            [89.99, "89.99", "89,99", "$89.99", "$ 89.99", "89.99 $", "€ 89,99", "89,99€", "USD 89.99", "89.99 EUR"],
        ),
        (89.99, ["US$89.99", "Rs. 89.99", "89,99 kr", "R$ 89,99", "£89.99"]),
        (
            1234.56,
            ["1,234.56", "1.234,56", "1 234,56", "1 234.56", "1\u202f234,56", "1'234.56", "1’234.56", "$1,234.56"],
        ),
        (1234567, ["1,234,567", "1.234.567", "1 234 567", "12,34,567", "1,234,567.00", "1.234.567,0"]),
        (1.234, [1.234, "1.234", "1,2340"]),
        (0.34, ["0,340", "0.340", ",34", ".34"]),
        (5340, ["5340", "5 340", "5,340.0", "5.340,0", "5340,000", "5340.000"]),
    ],
)
def test_a_number_is_read_in_the_spellings_of_exports(expected: float, spellings: list[object]) -> None:
    assert [amount(spelling) for spelling in spellings] == [expected] * len(spellings)


@pytest.mark.parametrize("ambiguous", ["5,340", " 5,340 ", "$5,340", "-5,340", "12,000 EUR", "$5.340", "5.340 €"])
def test_thousands_that_may_be_decimals_are_asked_about(ambiguous: str) -> None:
    with pytest.raises(ValueError, match="before three digits may mean thousands or decimals; send a number from 0 to"):
        amount(ambiguous)


@pytest.mark.parametrize(
    "wrong",
    [
        "twelve",
        "12 months",
        "1,23,4",
        "1.2.3",
        "1,234,56",
        "1_000",
        "0x10",
        "inf",
        "1-2",
        "12:30",
        "9" * 401,
        True,
        [],
        {},
    ],
)
def test_what_is_no_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="no number; send a number from 0 to 1,000,000,000"):
        amount(wrong)


@pytest.mark.parametrize(
    ("read", "wrong", "message"),
    [
        (amount, -1, "below 0; send a number from 0 to 1,000,000,000"),
        (amount, "(5)", "below 0"),
        (amount, "-$5", "below 0"),
        (amount, inf, "above 1,000,000,000"),
        (amount, -(10**400), "below 0"),
        (amount, 10**400, "above 1,000,000,000"),
        (months, 1.5, "not whole; send a whole number from 0 to 100,000"),
        (months, "1,5", "not whole"),
        (months, 100_001, "above 100,000"),
        (probability, 85, "above 1; send a probability from 0 to 1, or a text such as 85%"),
        (probability, "120 %", "above 1"),
    ],
)
def test_a_number_out_of_range_is_refused_and_the_range_named(read: object, wrong: object, message: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        read(wrong)


@pytest.mark.parametrize("value", ["85%", "85 %", "0.85", "0,85", 0.85, "85,0%"])
def test_a_probability_may_be_in_percent(value: object) -> None:
    assert probability(value) == 0.85


@pytest.mark.parametrize(
    "value", [None, nan, "", "  ", "\u00a0", "NaN", "nan", "N/A", "null", "None", "-", "Unknown", "#N/A"]
)
def test_what_says_unknown_is_unknown_as_any_fact(value: object) -> None:
    assert is_unknown(value)
    assert [read(value) for read in (amount, months, probability, name, truth, yes_no)] == [None] * 6


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "TRUE", "T", "yes", "Y", " y ", "on", "1", "1.0"])
def test_a_true_value_is_read(value: object) -> None:
    assert truth(value) is True
    assert yes_no(value) == "Yes"


@pytest.mark.parametrize("value", [False, 0, 0.0, "false", "F", "no", "N", "off", "0", "0.0"])
def test_a_false_value_is_read(value: object) -> None:
    assert truth(value) is False
    assert yes_no(value) == "No"


@pytest.mark.parametrize("value", ["maybe", "No internet service", 2, -1, 0.5, [], {}])
def test_what_is_no_truth_value_is_refused_or_a_category(value: object) -> None:
    with pytest.raises(ValueError, match="neither true nor false; send true or false"):
        truth(value)
    if isinstance(value, str):
        assert yes_no(value) == value
    else:
        with pytest.raises(ValueError, match="neither yes nor no; send Yes or No"):
            yes_no(value)


@pytest.mark.parametrize(
    ("expected", "spellings"),
    [
        ("12", [12, 12.0, "12", " 12", "12\n", "\ufeff12", "12\u00a0", "\u202a12\u202c", "\u200b 12 \u200d"]),
        ("1000", [1e3, 1000]),
        ("12.0", ["12.0"]),
        ("12345678901234567890123", [12345678901234567890123]),
        ("Zoé", ["Zoé", "Zoe\u0301", " Zoe\u0301 "]),
        ("aB", ["aB"]),
        ("a b", ["a b"]),
    ],
)
def test_an_id_has_one_form(expected: str, spellings: list[object]) -> None:
    assert [identifier(spelling) for spelling in spellings] == [expected] * len(spellings)


NO_TEXT, EMPTY = (
    "no text; send text of 1 to 128 characters, or a whole number",
    "empty; send text of 1 to 128 characters",
)
NO_IDS: dict[str, list[object]] = {
    NO_TEXT: [True, None, 1.5, [], nan],
    EMPTY: ["", " ", "\u200b\u00a0"],
    "129 characters; send 1 to 128": ["a" * 129, "é" * 129],
    "has control characters; send text without them": ["a\x00b", "a\x85b", "é\x1fé"],
}


@pytest.mark.parametrize(("message", "wrong"), [(message, wrong) for message in NO_IDS for wrong in NO_IDS[message]])
def test_what_can_be_no_id_is_refused(message: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=message):
        identifier(wrong)


def test_text_is_one_line_without_outer_blanks() -> None:
    assert [name(value) for value in (" Sam ", "Sam\n", 300, 300.0)] == ["Sam", "Sam", "300", "300"]
    for wrong, message in [
        ("a\nb", "control"),
        ("a" * 201, "201 characters; send at most 200"),
        ([], "no text"),
        (True, "no text"),
    ]:
        with pytest.raises(ValueError, match=message):
            name(wrong)
