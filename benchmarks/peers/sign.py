"""Sign texts with one implementation and print a line of JSON; run by `minhash_speed.py` in that one's environment.

All take the same shingles: 5 words of the lower-cased text with its white space collapsed. Peers take them as bytes,
which Python makes: `text_s` counts that and the sketch, `sketch_s` the sketch alone. Ours starts from Arrow's buffers,
so that both are one number.
"""

# Each environment has only its own implementation.
# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Sketch = Callable[[list[list[bytes]], int], Sequence[Sequence[int]]]
NGRAM = 5
PAIRS, UNION, SHARED = 1000, 200, 100


def shingles(text: str, ngram: int) -> list[bytes]:
    """The distinct shingles of one text."""
    words = text.lower().split()
    return list({" ".join(words[at : at + ngram]).encode() for at in range(len(words) - ngram + 1)})


def datasketch(scheme: str) -> Sketch:
    """Of datasketch, with permutations drawn once."""
    from datasketch import MinHash

    def sketch(sets: list[list[bytes]], size: int) -> Sequence[Sequence[int]]:
        empty = MinHash(num_perm=size, scheme=scheme)
        signatures = []
        for content in sets:
            made = empty.copy()
            made.update_batch(content)
            signatures.append(made.hashvalues)
        return signatures

    return sketch


def rensa() -> Sketch:
    """Of rensa: R-MinHash over whole sets, many texts a call."""
    from rensa import RMinHash

    def sketch(sets: list[list[bytes]], size: int) -> Sequence[Sequence[int]]:
        rows: Sequence[Sequence[int]] = RMinHash.digest_matrix_from_token_byte_sets(sets, size, 1).to_rows()
        return rows

    return sketch


def measured_peer(sketch: Sketch, texts: pa.LargeStringArray, size: int) -> dict[str, float]:
    """CPU seconds of a peer, and the spread of its estimates."""
    sketch([[b"warm"]], size)
    strings = texts.to_pylist()
    begin = time.process_time()
    sets = [shingles(text, NGRAM) for text in strings]
    between = time.process_time()
    sketch(sets, size)
    end = time.process_time()
    rows = sketch([shingles(text, 1) for text in pairs()], size)
    total = float(sum(map(len, sets)))
    return {"text_s": end - begin, "sketch_s": end - between, "shingles": total, **spread(np.array(rows))}


def measured_ours(scheme: str, texts: pa.LargeStringArray, size: int) -> dict[str, float]:
    """The same of this repository's."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from operators.minhash import sign
    from operators.shingles import Shingling, shingle_sets

    sign(texts.slice(0, 2), Shingling("word", NGRAM), scheme, size)  # type: ignore[arg-type]
    begin = time.process_time()
    sign(texts, Shingling("word", NGRAM), scheme, size)  # type: ignore[arg-type]
    seconds = time.process_time() - begin
    made = sign(pa.array(pairs(), pa.large_string()), Shingling("word", 1), scheme, size)  # type: ignore[arg-type]
    total = float(shingle_sets(texts, Shingling("word", NGRAM)).hashes.size)
    return {"text_s": seconds, "sketch_s": seconds, "shingles": total, **spread(made.values)}


def pairs() -> list[str]:
    """Pairs of texts, one behind the other, that share half of their 200 words."""
    texts = []
    for start in range(10**6, 10**6 + PAIRS * UNION, UNION):
        words = list(map(str, range(start, start + UNION)))
        cut = SHARED + (UNION - SHARED) // 2
        texts += [" ".join(words[:cut]), " ".join(words[:SHARED] + words[cut:])]
    return texts


def spread(values: np.ndarray) -> dict[str, float]:
    """Mean error and standard deviation of the estimates of `pairs`."""
    errors = (values[0::2] == values[1::2]).mean(axis=1) - SHARED / UNION
    return {"bias": float(errors.mean()), "deviation": float(errors.std())}


def main() -> None:
    """Arguments: implementation, Parquet file with a column `text`, size of a signature."""
    name, data, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    column = pq.read_table(data, columns=["text"])["text"].cast(pa.large_string())
    texts = pa.concat_arrays(column.chunks)
    kind, _, scheme = name.partition(" ")
    if kind == "ours":
        found = measured_ours(scheme, texts, size)
    else:
        found = measured_peer(datasketch(scheme) if kind == "datasketch" else rensa(), texts, size)
    print(json.dumps({**found, "megabytes": texts.nbytes / 1e6}))


if __name__ == "__main__":
    main()
