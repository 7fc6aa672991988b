import pytest

from operators.pretokenizers import PATTERNS, Choice, Digits, Pretokenizer, cutting

# Once more in full, as their authors publish them: a slip in a part that patterns share would show here.
O200K_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+SUFFIX"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*SUFFIX|NUMBER"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
IN_FULL: dict[Pretokenizer, tuple[str, ...]] = {
    "gpt2": (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",),
    "cl100k": (CL100K,),
    "o200k": (O200K_WORDS.replace("SUFFIX", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?").replace("NUMBER", r"\p{N}{1,3}"),),
    "qwen2": (CL100K.replace(r"\p{N}{1,3}", r"\p{N}"),),
    "deepseek_v3": (
        r"\p{N}{1,3}",
        f"[{chr(0x4E00)}-{chr(0x9FA5)}{chr(0x3040)}-{chr(0x309F)}{chr(0x30A0)}-{chr(0x30FF)}]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "tekken": (O200K_WORDS.replace("SUFFIX", "").replace("NUMBER", r"\p{N}"),),
    "superbpe": (O200K_WORDS.replace("SUFFIX", "").replace("NUMBER", r"\p{N}{1,3}"),),
    "superbpe_stage2": (r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*| +(?!\S)",),
}


def test_the_patterns_are_the_published_ones() -> None:
    assert PATTERNS == IN_FULL


@pytest.mark.parametrize("pretokenizer", PATTERNS)
def test_digits_change_the_numeral_and_nothing_else(pretokenizer: Pretokenizer) -> None:
    one = cutting(pretokenizer, "single").patterns
    three = cutting(pretokenizer, "left_to_right").patterns
    assert [pattern.replace(r"\p{N}{1,3}", r"\p{N}") for pattern in three] == list(one)
    assert PATTERNS[pretokenizer] in (one, three) or pretokenizer == "gpt2"
    assert cutting(pretokenizer, "right_to_left").right_to_left


@pytest.mark.parametrize(
    ("pretokenizer", "digits", "pattern", "complaint"),
    [
        ("custom", "pattern", "", "expected pretokenizer: custom and a pattern"),
        ("gpt2", "pattern", "a", "or no pattern and one of gpt2, cl100k"),
        ("custom", "single", "a", r"write '\\\\p\{N\}' into the pattern"),
    ],
)
def test_what_does_not_go_together_is_named(pretokenizer: Choice, digits: Digits, pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        cutting(pretokenizer, digits, pattern)
