"""Errors that several modules raise and tell apart. Their texts are for people: what is wrong, and what to do."""


class ConfigurationError(ValueError):
    """The settings do not fit the machine, the artifacts or the state, so nothing can start."""


class UnavailableError(Exception):
    """The store or the bus cannot be used at present.

    No message is to blame, so a message that meets it is retried for as long as it lasts.
    """


class OverloadedError(Exception):
    """Too many messages are waiting: try again later."""
