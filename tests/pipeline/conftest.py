"""What the engine's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.executors.local import LocalExecutor
from tests.pipeline.engine import Mill, flawed_texts, kind_of

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    """An empty place to run recipes in."""
    return Mill(tmp_path)


@pytest.fixture
def flawed(mill: Mill) -> Mill:
    """A place with five input files of flawed texts, ten kilobytes each at most."""
    texts = flawed_texts()
    for number in range(5):
        rows = ({"text": text, "rank": rank, "kind": kind_of(text)} for rank, text in enumerate(texts[number::5]))
        mill.jsonl(f"part{number}", rows)
    return mill


@pytest.fixture(scope="session")
def two_workers() -> Iterator[LocalExecutor]:
    """Two worker processes, started once for all tests."""
    executor = LocalExecutor(2)
    yield executor
    executor.close()


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `kind: "toys:Name"` importable, here and in workers started from here on."""
    monkeypatch.syspath_prepend(str(DATA))
