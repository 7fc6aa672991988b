"""Tokenizers of other libraries: read, each encodes as its own library does, and its merges betray its mixture."""

import io
import json
import random
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from operators.base import DataError, RecipeError
from operators.byte_alphabet import to_characters
from operators.chosen_tokenizer import cutting_of
from operators.infer_mixture import InferMixture
from operators.kernels.pretokenize import spans
from operators.merge_lists import to_vocab_and_merges
from operators.merge_sources import MergeSource, parse, read
from operators.piece_rules import SPACE, PieceRules, rules_of
from operators.rank_files import rank_lines
from operators.sentencepiece_models import read_model
from operators.tokenizer_files import artifact_files
from operators.vocabulary import encode_pieces
from tests.operators.harness import corpus, run
from tests.operators.vocabularies import SPECIAL, cutter, sources, trained

Parts = list[bytes]


SCRIPTS = ((0x430, 0x450), (0x3B1, 0x3CA), (0x905, 0x94D), (0x4E00, 0x4E40), (0x3041, 0x3070), (0x30A2, 0x30D0),
           (0x621, 0x64A), (0xE01, 0xE30), (0xC0, 0xFF), (0x30, 0x3A), (0x61, 0x7B))  # fmt: skip


@cache
def documents() -> list[str]:
    """Passages of code and of words of many scripts, some with digits, a few hundred; without runs of spaces."""
    draw = random.Random(3)
    words = []
    for _ in range(12_000):
        low, high = draw.choice(SCRIPTS)
        # Cubes, so that some letters are frequent; and rare characters, that no alphabet has.
        letters = [chr(low + int((high - low) * draw.random() ** 3)) for _ in range(draw.randint(1, 6))]
        words.append(
            "".join(letters) + draw.choice(["", "", "", "\u0301", "12", "\n", ".", chr(draw.randint(0xA00, 0xD00))])
        )
    texts = [re.sub(" {2,}", " ", text) for text in [*sources()[:-1], " ".join(words)]]
    return [text[start : start + 600] for text in texts for start in range(0, min(len(text), 45_000), 600)]


@cache
def model(**options: Any) -> bytes:  # noqa: ANN401
    """A SentencePiece model of BPE of the lines of the documents."""
    lines = [line for text in documents() for line in text.split("\n") if line.strip()]
    settings = {"model_type": "bpe", "vocab_size": 3000, "character_coverage": 0.99, "byte_fallback": True,
                "max_sentence_length": 100_000, "num_threads": 1, "minloglevel": 2, **options}  # fmt: skip
    written = io.BytesIO()
    SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=written, **settings)
    return written.getvalue()


def encoded(source: MergeSource, texts: list[str]) -> list[Parts]:
    """The tokens of texts, by our merges; a character that is not in the alphabet as its bytes."""
    normal = source.normalise(texts) if source.normalise else texts
    ends = spans(pa.array(normal, pa.large_string()), cutting_of(source.vocabulary.patterns)).to_pylist()
    tokens = source.vocabulary.tokens
    own = {
        token
        for token in tokens
        if source.alphabet and source.alphabet.issuperset(token.decode("utf-8", "surrogateescape"))
    }
    found = []
    for text, places in zip(normal, ends, strict=True):
        raw = text.encode()
        pieces = pa.array([raw[a:b] for a, b in pairwise([0, *places])], pa.large_binary())
        flat = [tokens[number] for piece in encode_pieces(source.vocabulary, pieces).to_pylist() for number in piece]
        if not own:
            found.append(flat)
            continue
        found.append([part for token in flat for part in ([token] if token in own else _bytes(token))])
    return found


def _bytes(token: bytes) -> Parts:
    return [token[place : place + 1] for place in range(len(token))]


def by_library(tokens: list[str]) -> Parts:
    """The tokens of a library's encoding as bytes."""
    return [bytes([int(token[3:5], 16)]) if re.fullmatch("<0x..>", token) else token.encode() for token in tokens]


def converted(content: bytes, **changes: Any) -> bytes:  # noqa: ANN401
    """A model as `transformers` converts it: every split of every token is a merge, by the token's score."""
    pieces = read_model(content).pieces
    score = {piece.text: piece.score for piece in pieces}
    splits = [
        (score[whole], place, (whole[:place], whole[place:]))
        for whole in score for place in range(1, len(whole)) if whole[:place] in score and whole[place:] in score
    ]  # fmt: skip
    splits.sort(key=lambda split: (-split[0], split[1]))
    whole = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        ]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {piece.text: number for number, piece in enumerate(pieces)},
                  "merges": [list(pair) for _, _, pair in splits], "byte_fallback": True, "unk_token": "<unk>",
                  "fuse_unk": True},
        **changes,
    }  # fmt: skip
    return json.dumps(whole).encode()


IDENTITY: dict[str, Any] = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**IDENTITY, "split_digits": True, "allow_whitespace_only_pieces": True},
        {**IDENTITY, "add_dummy_prefix": False, "split_by_unicode_script": False, "split_by_number": False},
        {"split_by_whitespace": False, "max_sentencepiece_length": 6, "user_defined_symbols": ["lambda", "<sep>"]},
    ],
    ids=["nmt_nfkc", "llama", "free", "across spaces"],
)
def test_a_sentencepiece_model_encodes_as_sentencepiece_does(options: dict[str, Any]) -> None:
    content = model(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})
    source, library = parse(content, "it"), SentencePieceProcessor(model_proto=content)
    texts = [text for text in documents() if not any(own in text for own in options.get("user_defined_symbols", ()))]
    assert len(texts) > 150
    for ours, text in zip(encoded(source, texts), texts, strict=True):
        theirs = by_library([library.id_to_piece(number) for number in library.encode(text)])
        assert ours == theirs
    assert source.merges == source.vocabulary.merges


def test_a_conversion_lists_more_merges_and_encodes_as_tokenizers_does() -> None:
    content = model(**IDENTITY)
    written = converted(content)
    source, library = parse(written, "it"), Tokenizer.from_str(written.decode())
    for ours, text in zip(encoded(source, documents()), documents(), strict=True):
        assert ours == by_library(library.encode(text).tokens)
    listed = json.loads(written)["model"]["merges"]
    own = source.merges[source.assembly :]
    assert len(listed) > 1.3 * len(own)
    assert own == parse(content, "it").merges[source.assembly :]


@pytest.mark.parametrize("scheme", ["always", "never"])
def test_metaspace_is_read(scheme: str) -> None:
    cut = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": True}
    written = converted(model(**IDENTITY), normalizer={"type": "NFC"}, pre_tokenizer=cut)
    library = Tokenizer.from_str(written.decode())
    for ours, text in zip(encoded(parse(written, "it"), documents()), documents(), strict=True):
        assert ours == by_library(library.encode(text).tokens)


def test_of_the_splits_of_a_token_that_one_is_a_merge_whose_ranks_come_first() -> None:
    """The rule of Hayase et al. (appendix C): of all splits, the expanded and sorted list of ranks that is smallest."""
    content = model(**IDENTITY)
    pieces = [piece.text for piece in read_model(content).pieces if piece.kind == 1]
    rank = {text: number for number, text in enumerate(pieces) if len(text) > 1}
    made: dict[str, tuple[list[int], tuple[str, str]]] = {}
    for text, number in rank.items():
        splits = []
        for place in range(1, len(text)):
            parts = text[:place], text[place:]
            if all(len(part) == 1 or part in made for part in parts):
                lists = [made[part][0] if part in made else [] for part in parts]
                splits.append((sorted([number, *lists[0], *lists[1]]), -place, parts))
        if splits:
            ranks, _, parts = min(splits)
            made[text] = ranks, parts
    source = parse(content, "it")
    expected = {left + right: (left, right) for _, (left, right) in made.values()}
    found = {
        left + right: (left, right)
        for left, right in (map(bytes.decode, merge) for merge in source.merges[source.assembly :])
    }
    assert list(found) == list(expected)
    other = [token for token in found if found[token] != expected[token]]
    assert len(other) < 0.01 * len(found)
    for token in other:  # the rule does not know that of three equal characters the first two merge
        assert re.search(r"(.)\1\1", token)


def test_scores_that_were_changed_by_hand_do_not_change_the_order_of_training() -> None:
    content = model(**IDENTITY)
    pieces = [piece for piece in read_model(content).pieces if piece.kind == 1 and len(piece.text) > 1]
    early = pieces[3]
    field = early.text.encode()
    needle = b"\n" + bytes([len(field)]) + field + b"\x15"
    place = content.index(needle) + len(needle)
    moved = content[:place] + b"\x28\x6b\x6e\xce" + content[place + 4 :]  # -1e9
    source, before = parse(moved, "it"), parse(content, "it")
    assert source.merges[source.assembly :][:10] == before.merges[before.assembly :][:10]
    assert source.vocabulary.merges[-1][0] + source.vocabulary.merges[-1][1] == field


def test_rules_are_told_by_the_tokens() -> None:
    for options in ({"split_digits": True}, {"split_by_number": False, "split_by_unicode_script": False}, {}):
        read = read_model(model(**IDENTITY, **options))
        told = rules_of([piece.text for piece in read.pieces if piece.kind == 1])
        assert told == read.rules


def test_a_merge_list_alone_is_read_with_a_heading_and_without() -> None:
    vocabulary = trained()
    _, merges = to_vocab_and_merges(vocabulary)
    headless = merges.split(b"\n", 1)[1]
    for content in (merges, headless, merges.replace(b"\n", b"\r\n")):
        source = parse(content, "it", vocabulary.patterns)
        assert list(source.merges) == list(vocabulary.merges)
    strings = {to_characters(token): number for token, number in vocabulary.ids.items()}
    pairs = [(to_characters(left), to_characters(right)) for left, right in vocabulary.merges]
    library = Tokenizer(BPE(vocab=strings, merges=pairs))
    library.pre_tokenizer = cutter(vocabulary.patterns)
    for ours, text in zip(encoded(source, documents()), documents(), strict=True):
        assert list(map(to_characters, ours)) == library.encode(text).tokens


def test_what_a_training_step_left_is_read_by_its_directory_or_its_table(tmp_path: Path) -> None:
    for name, content in artifact_files(trained()).items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            pq.write_table(content, tmp_path / "merges.parquet")
    InferMixture(tokenizer=str(tmp_path), by="kind").check()
    step = InferMixture(tokenizer=str(tmp_path / "merges.parquet"), by="kind", pretokenizer="cl100k")
    step.check()
    assert step.read_file(trained().patterns).merges == trained().merges


def shares(path: Path, texts: dict[str, list[str]], **given: Any) -> dict[str, float]:  # noqa: ANN401
    """The inferred shares of bytes over texts."""
    rows = [(kind, text) for kind, some in texts.items() for text in some]
    table = corpus([text for _, text in rows]).append_column("kind", pa.array([kind for kind, _ in rows]))
    engine = run(InferMixture(tokenizer=str(path), by="kind", **given), [table])
    found = json.loads(engine.artifacts["solve"].read("mixture.json"))
    assert found["explains"]
    return {kind: entry["bytes"] for kind, entry in found["categories"].items()}


def two_kinds() -> dict[str, list[str]]:
    """Code, and the text of a licence by paragraphs."""
    code = documents()[:110]
    words = [text for text in documents() if not text.isascii()][:100]
    return {"code": code, "words": words}


def by_sentencepiece(lines: list[str]) -> bytes:
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, model_type="bpe", vocab_size=3000, byte_fallback=True,
        character_coverage=0.99, max_sentence_length=100_000, num_threads=1, minloglevel=2, **IDENTITY,
    )  # fmt: skip
    return written.getvalue()


def by_tokenizers(lines: list[str]) -> bytes:
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{SPACE}[^{SPACE}]*"), "isolated")
    tokenizer.train_from_iterator(lines, BpeTrainer(vocab_size=3000, special_tokens=["<unk>"], show_progress=False))
    tokenizer.pre_tokenizer = None  # as published conversions have it
    return tokenizer.to_str().encode()


@pytest.mark.parametrize("train", [by_sentencepiece, by_tokenizers])
def test_the_shares_of_a_library_s_own_training_come_back(tmp_path: Path, train: Callable[[list[str]], bytes]) -> None:
    kinds, weights = two_kinds(), {"code": 3, "words": 1}
    lines = {kind: [line for text in some for line in text.split("\n") if line] for kind, some in kinds.items()}
    (tmp_path / "given").write_bytes(train([line for kind in kinds for line in weights[kind] * lines[kind]]))
    found = shares(tmp_path / "given", kinds, tolerance_ppm=0.1)
    sizes = {kind: weights[kind] * sum(len(line.encode()) + 1 for line in some) for kind, some in lines.items()}
    assert found["code"] == pytest.approx(sizes["code"] / sum(sizes.values()), abs=0.005)


def unigram() -> bytes:
    lines = [line for text in documents() for line in text.split("\n") if line.strip()]
    written = io.BytesIO()
    SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=written, model_type="unigram",
                               vocab_size=2000, hard_vocab_limit=False, minloglevel=2)  # fmt: skip
    return written.getvalue()


def ranks_without(number: int) -> bytes:
    """A rank file from which a token is missing that others are made of."""
    ids = dict(trained().ids)
    del ids[next(token for token, rank in ids.items() if rank == number)]
    return rank_lines(ids)


BROKEN: list[tuple[str, Callable[[], bytes], str]] = [
    ("a Unigram model", unigram, "Unigram, which has no order of merges.*of type BPE"),
    ("Unigram", lambda: b'{"model": {"type": "Unigram", "vocab": []}}', "'Unigram', expected byte-level BPE"),
    ("WordPiece", lambda: b'{"model": {"type": "WordPiece", "vocab": {}}}', "'WordPiece', expected byte-level BPE"),
    ("WordLevel", lambda: b'{"model": {"type": "WordLevel", "vocab": {}}}', "'WordLevel', expected byte-level BPE"),
    ("truncated JSON", lambda: converted(model(**IDENTITY))[:5000], "expected JSON"),
    ("a JSON list", lambda: b"[1, 2]", "expected an object with a model"),
    ("no merges", lambda: b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}', "has no merges"),
    ("a merge of three", lambda: b"#version: 0.2\na b\na b c\n", "line 3: merge 'a b c': expected two tokens"),
    ("a merge of one", lambda: b"a b\nab\n", "line 2: merge 'ab': expected two tokens"),
    ("a merge out of order", lambda: b"a b\nabc d\n", "line 2: 'abc d' merges 'abc', which is no byte and was not"),
    ("ends of words", lambda: b"#version: 0.2\nt h\ni n</w>\n", "'n</w>', which is no byte"),
    ("merges of characters", lambda: f"{SPACE} t\n".encode(), "character-level: give its tokenizer.json"),
    ("a merge twice", lambda: b"a b\na c\na b\n", "line 3: 'a b' stands in line 1 already"),
    ("a model cut off", lambda: model(**IDENTITY)[:20_000], r"ends.* at byte 19,9\d\d of 20,000.*whole SentencePiece"),
    ("a model cut between pieces", lambda: model(**IDENTITY)[: 16 + 14], "no options of a trainer: it is cut off"),
    ("a pickle", lambda: b"\x80\x04\x95\x00", "pickled object, which is code"),
    ("an empty file", lambda: b"", "the file is empty; expected a tokenizer.json"),
    ("a blank file", lambda: b" \n\n", "the file is empty"),
    ("a zip", lambda: b"PK\x03\x04\x00", "a zip archive"),
    ("a GGUF", lambda: b"GGUF\x03\x00", "a GGUF model: give the tokenizer.json"),
    ("an image", lambda: b"\x89PNG\r\n\x1a\n\x00\x00", "it is no text"),
    ("a broken table", lambda: b"PAR1PAR1", "cannot be read as Parquet"),
    ("ranks with a gap", lambda: ranks_without(300), "rank 300 is missing, and token .* is made of no two"),
    ("words", lambda: b"no ranks\n", "line 1: b'no ranks' is no rank"),
    ("affixes", lambda: b'{"model": {"type": "BPE", "vocab": {}, "merges": [], "end_of_word_suffix": "</w>"}}', "</w>"),
    ("another pre-tokenizer", lambda: converted(model(**IDENTITY), pre_tokenizer={"type": "Whitespace"}),
     "'Whitespace'.*none or Metaspace"),
    ("another normalizer", lambda: converted(model(**IDENTITY), normalizer={"type": "Odd"}), "does not know its norm"),
    ("suffixed spaces", lambda: model(**IDENTITY, treat_whitespace_as_suffix=True), "treat_whitespace_as_suffix"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_file_that_holds_no_merges_in_order_is_refused(tmp_path: Path, make: Callable[[], bytes], says: str) -> None:
    path = tmp_path / "given"
    path.write_bytes(make())
    with pytest.raises(RecipeError, match=f"(?s)given.*{says}"):
        InferMixture(tokenizer=str(path), by="kind", pretokenizer="own").check()


def test_a_directory_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"directory without a tokenizer.json\); expected a tokenizer.json, ranks"):
        InferMixture(tokenizer=str(tmp_path), by="kind").check()
    made = tmp_path / "artifacts" / "made"
    made.mkdir(parents=True)
    (made / "tokenizer.json").touch()
    with pytest.raises(RecipeError, match=r"as of a run, name artifacts/made in it\)"):
        InferMixture(tokenizer=str(tmp_path), by="kind").check()
    (tmp_path / "merges.parquet").touch()
    with pytest.raises(RecipeError, match=r"name the file merges.parquet in it, and a pretokenizer\)"):
        InferMixture(tokenizer=str(tmp_path), by="kind").check()
    with pytest.raises(RecipeError, match="nowhere' cannot be read"):
        InferMixture(tokenizer=str(tmp_path / "nowhere"), by="kind").check()


def test_a_rank_that_is_only_free_is_no_gap() -> None:
    ranks = {**trained().ids, b"\t" * 40: max(trained().ids.values()) + 5}
    del ranks[b"\t" * 40]
    last = list(ranks)[-1]
    ranks[last] = ranks[last] + 7
    assert parse(rank_lines(ranks), "it", trained().patterns).merges == list(trained().merges)


def test_a_model_is_no_byte_level_tokenizer() -> None:
    from operators.tokenizer_sources import parse as parse_bytes

    with pytest.raises(DataError, match="tokens are of characters: expected a byte-level"):
        parse_bytes(model(**IDENTITY), "it")


def test_added_tokens_of_a_byte_level_file_stay() -> None:
    found = parse(artifact_files(trained())["tokenizer.json"], "it")
    assert [token.content for token in found.vocabulary.added] == list(SPECIAL)
    assert found.rules is None
    assert PieceRules().patterns == (f"{SPACE}[^{SPACE}]*|[^{SPACE}]+",)


@pytest.mark.parametrize(
    "make",
    [
        lambda: artifact_files(trained())["tokenizer.json"],
        lambda: rank_lines(trained().ids),
        lambda: to_vocab_and_merges(trained())[1],
    ],
    ids=["tokenizer.json", "ranks", "merges.txt"],
)
def test_a_byte_order_mark_is_no_part_of_a_file(make: Callable[[], bytes], tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    plain.write_bytes(make())
    marked.write_bytes(b"\xef\xbb\xbf" + make())
    patterns = trained().patterns
    assert read(str(marked), patterns).merges == read(str(plain), patterns).merges
