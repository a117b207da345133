from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def small_tokenizer_corpus(request: pytest.FixtureRequest) -> Iterator[None]:
    """Train tokenizers on fewer documents: to compose 10,000 takes longer than to train a tiny model."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.config.getoption("fast"):  # torch, which --fast leaves out
            patch.setattr("training.messenger.base.TOKENIZER_DOCUMENTS", 1000)
        yield
