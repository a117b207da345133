import hmac
from hashlib import sha256

import pytest
from pydantic import SecretStr, ValidationError

from shared.pseudonyms import HashKeyError, Pseudonyms
from shared.settings import LOCAL_HASH_KEY, Settings
from shared.store import SQLiteStore

KEY = SecretStr("a secret of sixteen or more")


def test_a_pseudonym_is_the_keyed_hash_of_the_id() -> None:
    expected = hmac.new(KEY.get_secret_value().encode(), "Zoë-1".encode(), sha256).hexdigest()

    assert Pseudonyms(KEY).of("Zoë-1") == expected
    assert Pseudonyms(LOCAL_HASH_KEY).of("Zoë-1") != expected


async def test_a_store_rejects_another_hash_key_than_its_first() -> None:
    store = SQLiteStore()
    first, second = await Pseudonyms.open(store, KEY), await Pseudonyms.open(store, KEY)

    assert first.suppression_key("c") == second.suppression_key("c")
    with pytest.raises(HashKeyError, match="RETENTION_HASH_KEY is not the key that this store began with"):
        await Pseudonyms.open(store, LOCAL_HASH_KEY)


def test_the_hash_key_is_secret_and_at_least_16_characters_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_HASH_KEY", KEY.get_secret_value())
    assert Settings().hash_key == KEY
    assert KEY.get_secret_value() not in repr(Settings())
    monkeypatch.setenv("RETENTION_HASH_KEY", "short")
    with pytest.raises(ValidationError, match="hash_key"):
        Settings()
