"""The schemes of signatures: equal to their references, to the packages they come from, and to the theory."""

import random

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from operators.minhash import Scheme, datatrove_factors, sign, slow_datatrove, slow_sign
from operators.reference_words import datatrove_normal
from operators.shingles import Shingling, Unit, shingles, written

TEXTS = st.lists(st.text(st.sampled_from("ab C\n\u00e9\u4e2d\U0001f600\u0130\u00a0\u0e01"), max_size=60), max_size=6)
SCHEMES: tuple[Scheme, ...] = ("fast", "affine32", "datatrove")

# From the reference's own stages, with spaCy's words (parity sheet of the reference, release 0.10.1).
NORMAL = "cafe prices rose 0 on 0 0 0 that s what dr smith said twice"
BUCKET = [
    67281654234286721,
    537791191061811555,
    82808762474605032,
    44179717903109990,
    518146373904527789,
    459449259434837307,
    295029022219667748,
    332330159177199298,
]


def large(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@given(TEXTS, st.integers(1, 6), st.sampled_from(["word", "character", "auto"]), st.sampled_from(SCHEMES))
def test_the_kernel_equals_the_slow_reference(texts: list[str], ngram: int, unit: Unit, scheme: Scheme) -> None:
    how = Shingling(unit, ngram)
    values, signed = sign(large(*texts), how, scheme, 16)
    for text, row, has in zip(texts, values, signed, strict=True):
        expected = slow_sign(text, how, scheme, 16)
        assert bool(has) == (expected is not None)
        assert expected is None or row.tolist() == expected


@pytest.mark.parametrize("unit", ["word", "character", "auto"])
@pytest.mark.parametrize("size", [1, 112, 128])
def test_affine32_is_datasketchs(size: int, unit: Unit) -> None:
    draw = random.Random(size)
    letters = "abcdefghij \n\u00c9\u4e2d\u6587\u30a2"
    texts = ["".join(draw.choices(letters, k=draw.randrange(400))) for _ in range(40)]
    how = Shingling(unit, 3)
    values, signed = sign(large(*texts), how, "affine32", size)
    for text, row in zip(texts, values, strict=True):
        theirs = MinHash(num_perm=size, scheme="affine32")
        theirs.update_batch([written(shingle, how) for shingle in shingles(text, how)])
        assert not shingles(text, how) or row.tolist() == theirs.hashvalues.tolist()
    assert signed.sum() > 30


def test_datatroves_factors_and_values_are_the_published_ones() -> None:
    factors, increments = datatrove_factors(112)
    assert factors[:2].tolist() == [775169054918279404, 1758426461858698313]
    assert increments[:2].tolist() == [1062448801025099917, 1324811268927594100]
    values, _ = sign(large(NORMAL), Shingling("word", 5), "datatrove", 112)
    assert values.dtype == np.uint64
    assert values[0, :8].tolist() == BUCKET == slow_datatrove(contents_of(NORMAL), 112)[:8]


def contents_of(text: str) -> set[bytes]:
    how = Shingling("word", 5)
    return {written(shingle, how) for shingle in shingles(text, how)}


def test_datatroves_normal_form_is_the_published_one() -> None:
    text = "Caf\u00e9 prices rose 3.5% on 12/05/2024 \u2014 that's what Dr. Smith said, twice!"
    assert datatrove_normal(text) == NORMAL
