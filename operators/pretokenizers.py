r"""The published patterns that cut text into pre-tokens before byte-pair encoding.

They are written as `tokenizers` reads them in a `tokenizer.json`. What `\p{L}`, `\p{N}` and `\s` mean changes with
the Unicode version of an engine; here it is what the installed `tokenizers` says, as that is what encodes later
(`kernels/pretokenize.py`). Both patterns cover every character: the pre-tokens of a text, joined, are the text.
"""

from typing import Final, Literal

Pretokenizer = Literal["gpt2", "cl100k"]

PATTERNS: Final[dict[Pretokenizer, str]] = {
    # GPT-2, RoBERTa, r50k: openai/gpt-2, src/encoder.py
    "gpt2": r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
    # GPT-4, Llama 3: openai/tiktoken, tiktoken_ext/openai_public.py
    "cl100k": (
        r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"""
        r"""| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
    ),
}
