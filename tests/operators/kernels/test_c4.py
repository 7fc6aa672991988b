import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from operators.kernels import c4, c4_sentences
from operators.kernels.c4_reference import POLICIES, Settings, cleaned, joined
from operators.sentences import num_sentences, num_token_sentences, sentence_table, token_turns
from operators.text_buffers import joined_bytes

PIECES = [
    *("\n", "\n", "\r", "\r\n", " ", " ", "  ", "\t", "\x0b", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u2003"),
    *("\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u2030", "\u200b", "\xc2", "\u1681", "\u3001", "\0"),
    *("...", ".", "?", "!", '"', "'", "\u201d", "[", "]", "[]", "[1]", "[\u0663\u0664]", "[a]", "[edit]", "[Edit]"),
    *("[citation needed]", "[citation  needed]", "{", "}", "Lorem ipsum", "lorem\u00a0ipsum", "LOREM IPSUM", "ipsum"),
    *(
        "JavaScript",
        "java[2]script",
        "javascrip",
        *POLICIES,
        "Use of coo\u212aies",
        "u\u017fe cookies",
        "cookie pol\u0130cy",
    ),
    *("uses coo", "kies", "use ", "of ", "policy", "privacy ", "terms", "a", "one two", "\u00e9\u4e2d", "\U0001f600"),
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text(), max_size=4)
SETTINGS = st.builds(
    Settings,
    *(st.booleans(), st.booleans(), st.integers(0, 3), st.integers(1, 9)),
    *(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)


def clean(texts: list[str], settings: Settings) -> c4.Lines:
    data, offsets = joined_bytes(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    return c4.clean(data, offsets, np.ones(len(texts), np.bool_), settings, sentence_table())


@given(TEXTS, SETTINGS)
@example(["one two three.\n\n[1]", "{", "Use of coo\u212aies, please."], Settings(False, True, 0, 1000))
@example(["lorem ipsum javascript { use cookies."], Settings())
def test_lines_and_counts_are_those_of_the_reference(texts: list[str], settings: Settings) -> None:
    lines = clean(texts, settings)
    lows, highs = c4.trim(lines.data, lines.starts, lines.ends)
    sentences = c4_sentences.count_sentences(
        lines.data, lines.starts, lines.ends, lines.counts[:, c4.KEPT], sentence_table()
    )
    for number, text in enumerate(texts):
        expected, counts = cleaned(text, settings), lines.counts[number].tolist()
        assert counts[c4.REASON] == ("", "lorem_ipsum", "curly_bracket").index(expected.reason)
        kept = expected.lines or []
        assert counts[: c4.KEPT + 1] == [*expected[2:], len(kept)]
        assert lines.data[lines.starts[number] : lines.ends[number]].tobytes().decode() == "\n".join(kept)
        assert lines.data[lows[number] : highs[number]].tobytes().decode() == joined(kept)
        assert sentences[number] == sum(map(num_sentences, kept))


@given(
    st.lists(
        st.lists(st.sampled_from("aB\u00e9.!?)\u2019\u3002 \u00a0\n3$\u4e2d[,"), max_size=12).map("".join), max_size=3
    )
)
def test_sentences_are_those_of_the_rule(texts: list[str]) -> None:
    data, offsets = joined_bytes(pa.array(texts, pa.large_string()))
    num_lines = np.array([text.count("\n") + 1 for text in texts], np.int32)
    found = c4_sentences.count_sentences(data, offsets[:-1], offsets[1:], num_lines, sentence_table())
    assert found.tolist() == [sum(map(num_sentences, text.split("\n"))) for text in texts]


def tokens_of(line: str) -> list[str]:
    """As spaCy's, if every character were a token: white space runs but for one space between two chunks are tokens."""
    tokens: list[str] = []
    place = 0
    while place < len(line):
        end = place
        while end < len(line) and line[end].isspace():
            end += 1
        if end > place:
            run = line[place:end]
            run = run[1:] if run[0] == " " and place else run
            tokens.extend([run] * bool(run))
            place = end
        else:
            tokens.append(line[place])
            place += 1
    return tokens


@given(st.lists(st.lists(st.sampled_from("a.!) \u00a0\t\n\n\u3002"), max_size=14).map("".join), max_size=3))
def test_turns_of_chunks_are_the_sentences_of_tokens(texts: list[str]) -> None:
    data, offsets = joined_bytes(pa.array(texts, pa.large_string()))
    num_lines = np.array([text.count("\n") + 1 for text in texts], np.int32)
    chunks: dict[str, int] = {}
    numbers = np.array([chunks.setdefault(chunk, len(chunks)) for text in texts for chunk in text.split()], np.int32)
    firsts = np.append(0, np.cumsum([len(text.split()) for text in texts])).astype(np.int64)
    turns = np.array([token_turns(chunk) for chunk in chunks], np.int32).reshape(-1, 4)
    right = np.array([chunk.endswith(".") for chunk in chunks], np.uint64)
    left = np.array([chunk.startswith(")") for chunk in chunks], np.uint64)
    counts, meets = c4_sentences.count_turns(
        data, offsets[:-1], offsets[1:], num_lines, numbers, firsts, turns, right, left
    )
    assert counts.tolist() == [sum(num_token_sentences(tokens_of(line)) for line in text.split("\n")) for text in texts]
    assert meets.tolist() == [". )" in text for text in texts]


def test_of_all_characters_the_kelvin_sign_alone_can_stand_in_a_phrase() -> None:
    phrases = "lorem ipsum javascript " + " ".join(POLICIES)
    odd = [chr(c) for c in range(0x80, 0x110000) if any(low in phrases for low in chr(c).lower())]
    assert odd == ["\u0130", "\u212a"]
    assert "\u0130".lower() == "i\u0307"  # the phrase breaks off after the i, and none ends with one
    assert not [phrase for phrase in ("lorem ipsum", "javascript", *POLICIES) if phrase.endswith("i")]


@given(TEXTS, st.integers(1, 5))
def test_texts_are_put_together(texts: list[str], min_chars: int) -> None:
    data, offsets = joined_bytes(pa.array(texts, pa.large_string()))
    new, ends = joined_bytes(pa.array([text[::2] for text in texts], pa.large_string()))
    rewritten = np.arange(len(texts)) % 2 == 1
    out, out_offsets = c4.assemble(data, offsets, new, ends[:-1], ends[1:], rewritten)
    found = [out[out_offsets[i] : out_offsets[i + 1]].tobytes().decode() for i in range(len(texts))]
    assert found == [text[::2] if i % 2 else text for i, text in enumerate(texts)]
    long = c4.count_long_lines(data, offsets[:-1], offsets[1:], min_chars)
    assert long.tolist() == [sum(len(line) >= min_chars for line in text.split("\n")) for text in texts]
