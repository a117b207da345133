"""Sampling parameters, the same for every language model that writes messages."""

MAX_NEW_TOKENS = 64
"""Tokens of a text, including the end-of-text token; texts that have not ended by then are dropped."""
TEMPERATURE = 0.65
"""At 1, one text in fifty breaks a rule; at 0.65, one in a thousand or fewer. Below that, more texts are repeats."""
