"""Pseudonyms of customers, for logs and for what they said about being contacted.

A pseudonym is a keyed hash (HMAC-SHA-256) of the customer's id. Without the key it does not identify anybody, so the
list may be kept when all other data of a customer are erased.
"""

import hmac
from typing import Self

from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.messages import Message
from shared.store import Key, Store

SUPPRESSIONS = "suppressed"
"""Collection with a document (`shared.consent`) for each customer who said anything about being contacted, under their
pseudonym."""
FINGERPRINT: Key = ("hash-key", "fingerprint")
"""Document with the pseudonym of the empty id, by which the key is recognised."""


class HashKeyError(ConfigurationError):
    """The key is not the one that the store's pseudonyms were made with, so opt-outs would not be found."""


class Pseudonyms:
    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    @classmethod
    async def open(cls, store: Store, key: SecretStr) -> Self:
        """Pseudonyms for the data in `store`, by the key that stays its key. Raises as `load`."""
        fingerprint = {"of": cls(key).of("")}
        await store.update(
            [FINGERPRINT], lambda found: ({} if found[FINGERPRINT] else {FINGERPRINT: fingerprint}, None)
        )
        return await cls.load(store, key)

    @classmethod
    async def load(cls, store: Store, key: SecretStr) -> Self:
        """Pseudonyms for the data in `store`. Raises `HashKeyError` if its key is another."""
        pseudonyms = cls(key)
        fingerprint = (await store.read([FINGERPRINT]))[FINGERPRINT]
        if fingerprint and fingerprint["of"] != pseudonyms.of(""):
            raise HashKeyError(
                "RETENTION_HASH_KEY is not the key that this store began with: opt-outs would be lost. "
                "Set the first key again."
            )
        return pseudonyms

    def of(self, customer_id: str) -> str:
        return hmac.digest(self._key, customer_id.encode(), "sha256").hex()

    def of_message(self, message: Message) -> str:
        """A name of the message that tells nothing about it or its customer: 16 hexadecimal digits."""
        return self.of(str(message.id))[:16]

    def suppression_key(self, customer_id: str) -> Key:
        """Key of the document with what the customer said about being contacted."""
        return SUPPRESSIONS, self.of(customer_id)
