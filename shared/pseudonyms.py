"""What stands for customers where their ids may not: in logs, and in the list of those never to be contacted again.

It is a keyed hash. Without the key nobody learns from it who they are, so the list can outlive all else known of them.
"""

import hmac
from typing import Self

from pydantic import SecretStr

from shared.store import Key, Store

SUPPRESSIONS = "suppressed"
"""Who opted out, by pseudonym."""
FINGERPRINT: Key = ("hash-key", "fingerprint")
NOBODY = ""
"""No customer's id."""


class HashKeyError(Exception):
    """The key is not the one that the store's pseudonyms were made with: nobody who opted out would be found."""


class Pseudonyms:
    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    @classmethod
    async def open(cls, store: Store, key: SecretStr) -> Self:
        """The first key is the store's for ever; raises `HashKeyError` for any other."""
        pseudonyms = cls(key)
        mine = {"of": pseudonyms.of(NOBODY)}
        found = await store.update([FINGERPRINT], lambda found: {} if found[FINGERPRINT] else {FINGERPRINT: mine})
        if found[FINGERPRINT] != mine:
            raise HashKeyError("RETENTION_HASH_KEY is not the key that this store began with: opt-outs would be lost")
        return pseudonyms

    def of(self, customer_id: str) -> str:
        return hmac.digest(self._key, customer_id.encode(), "sha256").hex()

    def suppression_key(self, customer_id: str) -> Key:
        """Where there is a document, the customer must not be contacted."""
        return SUPPRESSIONS, self.of(customer_id)
