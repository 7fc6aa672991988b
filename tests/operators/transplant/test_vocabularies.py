import json

import numpy as np
import pyarrow as pa
import pytest

from operators.base import DataError
from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.matching import Matches, match, variants
from operators.transplant.pieces import Cutter, without
from operators.transplant.rules import copies
from operators.transplant.vocabularies import TokenForms, read_forms
from operators.transplant.weights import ROUTES
from operators.unigram import train_unigram
from operators.vocabulary import AddedToken, Vocabulary, from_merges
from operators.wordpiece import train_wordpiece
from tests.operators.transplant.small_tokenizers import sentencepiece_json, wordpiece_json

MERGES = [(b" ", b"t"), (b"h", b"e"), (b" t", b"he"), (b"t", b"he"), (b"\xc3", b"\xa9"), (b"1", b"2")]


def byte_level(*special: str, merges: list[tuple[bytes, bytes]] = MERGES) -> bytes:
    return to_tokenizer_json(from_merges(merges, (r" ?\p{L}+| ?\p{N}|\s+|[^\s]+",), special))


def routes(matches: Matches) -> list[str]:
    return [ROUTES[number] for number in matches.route.tolist()]


def test_every_way_of_writing_gives_the_same_bytes() -> None:
    ours = read_forms(byte_level("<|end|>"))
    spaces = read_forms(sentencepiece_json("\u2581the", "the", "\u00e9", "<0x0A>", "<0xC3>"))
    words = read_forms(wordpiece_json("the", "##the", "\u00e9"))
    assert ours.forms[256:] == (b" t", b"he", b" the", b"the", b"\xc3\xa9", b"12", b"")
    assert spaces.forms[-5:] == (b" the", b"the", b"\xc3\xa9", b"\n", b"\xc3")
    assert words.forms[-3:] == (b" the", b"the", b" \xc3\xa9")
    assert words.inside[-3:].tolist() == [False, True, False]
    assert [forms.family for forms in (ours, spaces, words)] == ["bytes", "spaces", "words"]
    assert ours.word_start[256:].tolist() == [True, False, True, False, False, False, False]


def test_tokens_that_are_parts_of_characters_do_not_collide() -> None:
    """FOCUS and TokenAdapt match decoded strings, in which every such token is U+FFFD."""
    ours = read_forms(byte_level())
    found = match(ours, ours)
    assert found.old.tolist() == list(range(len(ours)))
    assert b"\xc3" in ours.forms


def test_a_byte_fallback_is_matched_with_the_byte_and_only_where_nothing_else_is() -> None:
    spaces = read_forms(sentencepiece_json("<0x41>", "A", "<0x0A>", "<0xC3>"))
    ours = read_forms(byte_level())
    found = match(spaces, ours)
    by_form = {form: number for number, form in enumerate(ours.forms)}
    assert found.old[by_form[b"A"]] == spaces.forms.index(b"A", 4)
    assert spaces.fallback[found.old[by_form[b"\n"]]]
    assert routes(found)[by_form[b"\n"]] == routes(found)[by_form[b"\xc3"]] == "byte"
    assert routes(found)[by_form[b"A"]] == "exact"
    assert match(ours, spaces).old[spaces.forms.index(b"\xc3")] == by_form[b"\xc3"]


def test_special_tokens_match_by_content_and_then_by_role_and_never_text() -> None:
    source = read_forms(byte_level("<|im_start|>", "<|endoftext|>", "<|pad|>"), {"eos": 263, "pad": 264})
    target = read_forms(byte_level("<|end_of_text|>", "<|pad|>", "<|tool|>"))
    found = match(source, target)
    assert found.old[-3:].tolist() == [263, 264, -1]
    assert routes(found)[-3:] == ["special", "special", "absent"]
    as_text = read_forms(with_text("<|pad|>"))
    assert as_text.forms[-1] == b"<|pad|>"
    assert match(source, as_text).old[len(as_text) - 1] == -1
    assert match(as_text, source).old[264] == -1


def with_text(token: str) -> bytes:
    """A vocabulary in which a name that others give to a special token is text, merged letter by letter."""
    merges = [(token[:place].encode(), token[place : place + 1].encode()) for place in range(1, len(token))]
    return byte_level(merges=merges)


def test_unigram_and_wordpiece_files_of_our_own_are_read() -> None:
    words, counts = pa.array([b" the", b"then", b"\xc3\xa9 "] * 3, pa.large_binary()), np.array([9, 5, 3] * 3)
    for files in (
        train_unigram(words, counts, (262,), (r"\S+|\s+",), ("<|end|>",)),
        train_wordpiece(words, counts, (516,), (r"\S+|\s+",), ("<|end|>",)),
    ):
        forms = read_forms(files["tokenizer.json"])
        assert {bytes([value]) for value in range(256)} <= set(forms.forms)
        assert list(forms.specials.values()) == ["<|end|>"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no json", "expected JSON"),
        (b"[]", "an object with a model"),
        (b'{"model": {"type": "WordLevel", "vocab": {"a": 0}}}', "of type 'WordLevel'"),
        (b'{"model": {"type": "BPE", "vocab": {"a": "x"}}}', "expected ids by token"),
        (json.dumps({"model": {"type": "BPE", "vocab": {"a": 1 << 40}, "merges": []}}).encode(), "largest id"),
        (b'{"model": {"type": "BPE", "vocab": {"a": 1026}, "merges": []}}', "id is 1026, and it has 1 tokens"),
        (b'{"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": [7]}', "the added token '7'"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_forms(content)


def test_a_token_out_of_its_alphabet_is_refused() -> None:
    whole = json.loads(byte_level())
    whole["model"]["vocab"]["two words"] = 900
    with pytest.raises(DataError, match="'two words' is not written in the characters"):
        read_forms(json.dumps(whole).encode())


def test_no_shared_token_is_refused() -> None:
    source, target = read_forms(sentencepiece_json("a", "b")), read_forms(sentencepiece_json("c"))
    with pytest.raises(DataError, match="share no token of text"):
        copies(source, target, match(source, target))


def test_variants_differ_in_case_or_a_leading_space_alone() -> None:
    names = ("the", "The", "\u2581the", "then", "\u2581", "<0xC3>", "THE")
    source = read_forms(sentencepiece_json(*names))
    first = len(source) - len(names)
    found = variants(source, source)
    assert [one - first for one in found[first]] == [1, 2, 6]
    assert [one - first for one in found[first + 2]] == [0, 1, 6]
    assert found[first + 3] == found[first + 4] == found[first + 5] == []


def cut(tokenizer: bytes, *tokens: bytes) -> list[list[bytes]]:
    """The pieces of tokens, as bytes."""
    source = read_forms(tokenizer)
    ids = Cutter(tokenizer).cut(forms_of(*tokens))
    return [[source.forms[number] for number in one] for one in ids]


def forms_of(*tokens: bytes, inside: bool = False) -> TokenForms:
    flags = np.full(len(tokens), inside)
    return TokenForms(tokens, flags, np.zeros(len(tokens), bool), {}, {}, "bytes")


def test_pieces_are_cut_without_a_space_put_before_or_taken_away() -> None:
    assert cut(byte_level(), b" then", b"then", b"") == [[b" the", b"n"], [b"the", b"n"], []]
    assert cut(byte_level(), b"12") == [[b"1", b"2"]], "the old pattern cuts between digits, whatever merges there are"
    names = ("\u2581", "t", "h", "e", "n", "\u2581t", "he", "\u2581the", "the")
    merges = [["\u2581", "t"], ["h", "e"], ["\u2581t", "he"], ["t", "he"]]
    spaces = sentencepiece_json(*names, merges=merges)
    assert cut(spaces, b" then", b"then") == [[b" the", b"n"], [b"the", b"n"]]


def test_pieces_of_a_part_of_a_character_are_bytes_that_merge() -> None:
    assert cut(byte_level(), b"\xa9the", b"\xc3\xa9\xc3") == [[b"\xa9", b"the"], [b"\xc3\xa9", b"\xc3"]]
    spaces = sentencepiece_json("<0xC3>", "<0xA9>", "a")
    assert cut(spaces, b"\xa9", b"a\xc3") == [[b"\xa9"], [b"\xc3"]]


def test_wordpiece_pieces_go_on_inside_a_word() -> None:
    words = wordpiece_json("the", "##n", "##the", "n", "e", "##e")
    assert cut(words, b" then", b"then", b" the en") == [[b" the", b"n"], [b"the", b"n"], [b" the", b" e", b"n"]]
    assert cut(words, b" thex") == [[]]


def test_removed_tokens_are_cut_into_others_and_ids_stay() -> None:
    whole = read_forms(byte_level())
    the = whole.forms.index(b" the")
    robbed = without(byte_level(), [the])
    assert read_forms(robbed).forms[:the] == whole.forms[:the]
    assert read_forms(robbed).forms[the] == b""
    assert cut(robbed, b" the") == [[b" t", b"he"]]
    pieces = [["<unk>", 0.0], ["a", -3.0], ["b", -3.0], ["ab", -1.0]]
    unigram = json.dumps({"model": {"type": "Unigram", "unk_id": 0, "vocab": pieces}}).encode()
    assert cut(unigram, b"ab") == [[b"ab"]]
    assert cut(without(unigram, [3]), b"ab") == [[b"a", b"b"]]


def test_pieces_join_to_the_token_for_every_token_of_another_vocabulary() -> None:
    source, target = byte_level(), read_forms(with_text("<|pad the|>"))
    forms = read_forms(source)
    for form, ids in zip(target.forms, Cutter(source).cut(target), strict=True):
        assert b"".join(forms.forms[one] for one in ids) == form


def test_added_tokens_in_the_middle_are_no_text() -> None:
    merges = from_merges(MERGES, (r"\S+|\s+",))
    ids = {token: number + (number > 100) for number, token in enumerate(merges.ids)}
    forms = read_forms(to_tokenizer_json(Vocabulary(ids, MERGES, merges.patterns, (AddedToken("<|end|>", 101),))))
    assert forms.forms[101] == b""
    assert forms.specials == {101: "<|end|>"}
    assert forms.is_token.all()
    assert int(forms.is_text.sum()) == len(ids)
