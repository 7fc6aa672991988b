import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from operators.base import DataError, RecipeError
from operators.encode import Merge, apply_merges
from operators.pretokenizers import PATTERNS
from operators.rank_files import rank_lines, read_ranks, tiktoken_pattern
from operators.tokenizer_files import from_tokenizer_json, to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.vocabulary import AddedToken, Vocabulary, from_merges, reach
from tests.operators.harness import Engine, corpus, run
from tests.operators.kernels.test_bpe import library_sources
from tests.operators.vocabularies import REPETITIVE, merge_lists

PATTERN = PATTERNS["cl100k"]
TEXTS = library_sources(60_000)
OTHER = [" \u0434\u043e\u043c \u0434\u043e\u043c\u0430 \u0434\u043e\u043c\u0443" * 9, "myocardial infarction " * 9]


def written(folder: Path, vocabulary: Vocabulary, name: str = "base.json") -> str:
    (folder / name).write_bytes(to_tokenizer_json(vocabulary))
    return str(folder / name)


def trained(texts: list[str], **parameters: object) -> Engine:
    settings: dict[str, Any] = {"pretokenizer": "cl100k", **parameters}
    step = TrainTokenizer(**settings)
    step.check()
    return run(step, [corpus(texts)])


def vocabulary_of(engine: Engine, name: str = "tokenizer.json") -> Vocabulary:
    return from_tokenizer_json(engine.artifacts["train"].read(name))


def num_tokens(vocabulary: Vocabulary, text: str) -> int:
    return len(Tokenizer.from_str(to_tokenizer_json(vocabulary).decode()).encode(text).ids)


@pytest.fixture(scope="module")
def base() -> Vocabulary:
    return vocabulary_of(trained(TEXTS, vocab_sizes=(500,)))


def gapped(base: Vocabulary) -> Vocabulary:
    """Other bytes' ids, gaps, added tokens in the middle and at the end, one of them without a meaning of its own."""
    bytes_first = sorted(
        base.ids, key=lambda token: (len(token) > 1, token if len(token) == 1 else b"", base.ids[token])
    )
    ids = {token: 3 + number + 5 * (number > 300) for number, token in enumerate(bytes_first)}
    added = (AddedToken("<|mid|>", 305), AddedToken("<|end|>", 600), AddedToken("<think>", 602, special=False))
    return replace(base, ids=ids, added=added, normalizer="NFC")


def test_going_on_from_a_training_of_ours_gives_that_training(tmp_path: Path, base: Vocabulary) -> None:
    extended = trained(TEXTS, vocab_sizes=(500, 640, 800), extend=written(tmp_path, base))
    for size, unbroken in ((640, trained(TEXTS, vocab_sizes=(640,))), (800, trained(TEXTS, vocab_sizes=(800,)))):
        name = f"tokenizer-{size}.json"
        assert extended.artifacts["train"].read(name) == unbroken.artifacts["train"].read(name)
    assert vocabulary_of(extended, "tokenizer-500.json") == base


def test_old_tokens_keep_their_ids_and_new_ones_come_after_all_others(tmp_path: Path, base: Vocabulary) -> None:
    old = gapped(base)
    path = written(tmp_path, old)
    engine = trained(
        OTHER,
        vocab_sizes=(615, 630),
        extend=path,
        special_tokens=("<|end|>", "<|new|>"),
        reserved=2,
        required_tokens=(" myocardial",),
    )
    for name, size in (("tokenizer-615.json", 615), ("tokenizer-630.json", 630)):
        new = vocabulary_of(engine, name)
        assert {token: new.ids[token] for token in old.ids} == old.ids
        assert new.merges[: len(old.merges)] == old.merges
        assert new.added[: len(old.added)] == old.added
        fresh = {token: number for token, number in new.ids.items() if token not in old.ids}
        assert list(fresh.values()) == list(range(603, 603 + len(fresh)))
        assert [token.content for token in new.added[3:]] == ["<|new|>", "<|reserved_0|>", "<|reserved_1|>"]
        assert [token.id for token in new.added[3:]] == list(range(603 + len(fresh), new.next_id))
        assert new.next_id <= size
        assert (new.normalizer, new.patterns) == (old.normalizer, old.patterns)
    assert b" myocardial" in new.ids
    for text in (*OTHER, *TEXTS[:20], *REPETITIVE):
        assert num_tokens(new, text) <= num_tokens(old, text)
    assert num_tokens(new, OTHER[0]) < num_tokens(old, OTHER[0])


@given(merge_lists(), st.lists(st.text("abc", min_size=1, max_size=16), min_size=1, max_size=6), st.booleans())
def test_from_any_merges_the_new_come_last_and_no_piece_gets_more_tokens(
    tmp_path_factory: pytest.TempPathFactory, merges: list[Merge], texts: list[str], whole_first: bool
) -> None:
    old = replace(from_merges(merges, PATTERN), whole_first=whole_first)
    path = written(tmp_path_factory.mktemp("any"), old)
    engine = trained(texts, vocab_sizes=(old.next_id, old.next_id + 6), extend=path)
    new, live = vocabulary_of(engine), reach(old).merges
    assert new.merges[: len(live)] == tuple(live)
    assert {token: new.ids[token] for token in old.ids} == old.ids
    before, after = ({merge: place for place, merge in enumerate(v.merges)} for v in (old, new))
    counts = dict(engine.artifacts["train"].table("merges").select(["count"]).to_pydict())["count"]
    assert counts[: len(live)] == [None] * len(live)
    for text in {*texts, "abcabc", "ccbbaa", "aaaa"}:
        piece = text.encode()
        parts = apply_merges(piece, before)
        assert len(apply_merges(piece, after)) <= len(parts)
        assert num_tokens(new, text) <= num_tokens(old, text)
        if len(parts) == 1:
            assert num_tokens(new, text) == 1


@pytest.mark.parametrize("special", [True, False])
def test_an_added_token_that_text_holds_keeps_its_id_and_is_not_learned(
    tmp_path: Path, base: Vocabulary, special: bool
) -> None:
    old = replace(base, added=(AddedToken("kubernetes", 900, special=special),))
    engine = trained(["kubernetes (kubernetes) kubernetes's"] * 9, vocab_sizes=(950,), extend=written(tmp_path, old))
    found = vocabulary_of(engine)
    assert found.added == old.added
    assert b"kubernetes" not in found.ids
    assert b" kubernetes" in found.ids


def test_a_required_token_that_is_an_added_one_is_named_with_the_file(tmp_path: Path, base: Vocabulary) -> None:
    path = written(tmp_path, replace(base, added=(AddedToken("kubernetes", 900),)))
    with pytest.raises(RecipeError, match=r"required_tokens: 'kubernetes' is an added token of '.*base\.json'"):
        trained(TEXTS, vocab_sizes=(950,), extend=path, required_tokens=("kubernetes",))


def test_what_is_learned_is_what_the_encoder_makes(tmp_path: Path, base: Vocabulary) -> None:
    engine = trained(OTHER, vocab_sizes=(560,), extend=written(tmp_path, base))
    new = vocabulary_of(engine)
    counts = engine.artifacts["train"].table("merges")["count"].to_pylist()
    assert len(counts) == len(new.merges)
    assert None not in counts[len(base.merges) :]
    assert reach(new) == (list(new.merges), [])


def test_a_rank_file_is_extended_and_written_as_ranks(tmp_path: Path, base: Vocabulary) -> None:
    path = tmp_path / "base.tiktoken"
    path.write_bytes(rank_lines(base.ids))
    engine = trained(OTHER, vocab_sizes=(530,), extend=str(path))
    new = vocabulary_of(engine)
    ranks = read_ranks(engine.artifacts["train"].read("ranks.tiktoken"))
    reader = tiktoken.Encoding("x", pat_str=tiktoken_pattern(new), mergeable_ranks=ranks, special_tokens={})
    tokenizer = Tokenizer.from_str(to_tokenizer_json(new).decode())
    for text in (*OTHER, *REPETITIVE):
        assert reader.encode_ordinary(text) == tokenizer.encode(text).ids
    assert list(ranks)[:500] == list(base.ids)


def test_the_digest_decides_and_not_the_path(tmp_path: Path, base: Vocabulary) -> None:
    paths = [written(tmp_path, base, "a.json"), written(tmp_path, base, "b.json")]
    steps = [TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(510,), extend=path) for path in paths]
    assert steps[0].identity() == steps[1].identity()
    trains = [step.stages()[-1].identity() for step in steps]  # type: ignore[union-attr]
    assert trains[0] == trains[1]
    assert str(tmp_path) not in json.dumps([steps[0].identity(), trains[0]])
    artifact = run(steps[0], [corpus(OTHER)]).artifacts["train"]
    assert str(tmp_path).encode() not in artifact.read("training.json")
    written(tmp_path, replace(base, merges=base.merges[:-1], ids=dict(list(base.ids.items())[:-1])), "b.json")
    assert steps[1].stages()[-1].identity() != trains[0]  # type: ignore[union-attr]


def test_a_file_that_changes_after_planning_is_refused(tmp_path: Path, base: Vocabulary) -> None:
    path = written(tmp_path, base)
    stage = TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(510,), extend=path).stages()[-1]
    written(tmp_path, replace(base, normalizer="NFC"))
    with pytest.raises(RecipeError, match="when the run began"):
        stage.learn(pa.table({"pretoken": pa.array([b"ab"], pa.large_binary()), "count": [1]}))  # type: ignore[union-attr]


def test_any_url_will_do(base: Vocabulary) -> None:
    with fsspec.open("memory://tokenizers/base.json", "wb") as file:
        file.write(to_tokenizer_json(base))
    engine = trained(OTHER, vocab_sizes=(510,), extend="memory://tokenizers/base.json")
    assert vocabulary_of(engine).next_id == 510


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"extend": "nowhere.json"}, "'nowhere.json' cannot be read"),
        ({"extend": "."}, "cannot be read"),
        ({"pretokenizer": "o200k"}, 'write pretokenizer: "cl100k"'),
        ({"vocab_sizes": (499, 900)}, "ids up to 499, and 0 special and reserved tokens are new: ask for 500 or more"),
        ({"vocab_sizes": (501,), "reserved": 2}, "ask for 502 or more"),
    ],
)
def test_what_cannot_be_extended_is_refused(
    tmp_path: Path, base: Vocabulary, parameters: dict[str, Any], complaint: str
) -> None:
    settings = {"pretokenizer": "cl100k", "vocab_sizes": (900,), "extend": written(tmp_path, base), **parameters}
    with pytest.raises(RecipeError, match=complaint):
        TrainTokenizer(**settings).check()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"YWI= 5 6\n", "line 1"),
        (b"{", "expected JSON"),
        (b'{"model": {"type": "Unigram"}}', "expected byte-level BPE"),
        (b'{"model": {"type": "BPE", "vocab": {"ab": 1}, "merges": []}}', "pre_tokenizer"),
    ],
)
def test_a_file_that_is_no_byte_level_tokenizer_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint) as raised:
        TrainTokenizer(pretokenizer="cl100k", vocab_sizes=(900,), extend=str(path)).check()
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"algorithm": "unigram"}, "extend means nothing to algorithm 'unigram'"),
        ({"limit_alphabet": 90}, "limit_alphabet means nothing with extend"),
    ],
)
def test_what_does_not_go_with_extend_is_refused(parameters: dict[str, Any], complaint: str) -> None:
    settings = {"pretokenizer": "cl100k", "vocab_sizes": (900,), "extend": "x.json", **parameters}
    with pytest.raises(ValueError, match=complaint):
        TrainTokenizer(**settings)
