"""What a whole machine embeds: our workers of one thread, one for each core, beside the threads of the peer.

    build/torch/bin/python -m benchmarks.embedding_workers [--docs 400] [--workers 2] [--rounds 4]

Documents, encoder and peer are those of `benchmarks/embedding.py`, and so are the rounds: in each the peer embeds the
documents in one process with as many threads as there are workers, and each of our variants the same documents, every
worker its share, all starting at once. Models are loaded before. Seconds are of the clock until the last worker is
done, and of the CPU over all processes.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from benchmarks.embedding import MINILM, asking, documents, missing, ours, peer
from operators.embedding.checkpoints import read_checkpoint
from operators.embedding.devices import cpu_has_bfloat16
from operators.embedding.tokens import Tokeniser
from operators.embedding.transformers import CPU_BUDGET

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PEER: Final = "sentence-transformers"
Cost = tuple[float, float]
"""Seconds of the clock, and of the CPU."""


def work(pipe: Connection, backend: str, dtype: str) -> None:
    """Embed each list of texts that comes, and send back what that took in CPU seconds; an empty one ends it."""
    embed, _ = ours(backend, dtype, 1, CPU_BUDGET)
    embed(["to warm up"])
    pipe.send(0.0)
    while texts := pipe.recv():
        begin = time.process_time()
        embed(texts)
        pipe.send(time.process_time() - begin)


class Workers:
    """Processes that each hold one variant of ours."""

    def __init__(self, count: int, backend: str, dtype: str) -> None:
        context = get_context("spawn")
        self.pipes, self.processes = [], []
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=work, args=(there, backend, dtype), daemon=True)
            process.start()
            self.pipes.append(here)
            self.processes.append(process)
        for pipe in self.pipes:
            pipe.recv()

    def embed(self, texts: list[str]) -> Cost:
        """All texts, every worker those of its turn."""
        begin = time.perf_counter()
        for turn, pipe in enumerate(self.pipes):
            pipe.send(texts[turn :: len(self.pipes)])
        spent = sum(pipe.recv() for pipe in self.pipes)
        return time.perf_counter() - begin, spent

    def close(self) -> None:
        """End them."""
        for pipe in self.pipes:
            pipe.send([])
        for process in self.processes:
            process.join()


def measure(texts: list[str], workers: int, rounds: int) -> dict[str, Cost]:
    """What each variant took over all rounds."""
    dtypes = ("float32", "bfloat16") if cpu_has_bfloat16() else ("float32",)
    held = {
        f"{backend} {dtype}": Workers(workers, backend, dtype) for backend in ("torch", "openvino") for dtype in dtypes
    }
    theirs = peer(workers)
    theirs(texts[:8])
    found: dict[str, Cost] = defaultdict(lambda: (0.0, 0.0))
    names = [PEER, *held]
    for turn in range(rounds):
        some = texts[turn::rounds]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name == PEER:
                begin, begin_cpu = time.perf_counter(), time.process_time()
                theirs(some)
                cost = time.perf_counter() - begin, time.process_time() - begin_cpu
            else:
                cost = held[name].embed(some)
            found[name] = found[name][0] + cost[0], found[name][1] + cost[1]
    for variant in held.values():
        variant.close()
    return found


def main() -> None:
    """Parse, measure, print."""
    parser = asking(__doc__)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if missing():
        return
    texts = documents(options.docs)
    checkpoint = read_checkpoint(str(MINILM))
    encoded = Tokeniser(checkpoint.tokenizer, checkpoint.cap, 1)(pa.chunked_array([pa.array(texts, pa.large_string())]))
    tokens = int(encoded.length.sum())
    with contextlib.redirect_stderr(None):
        found = measure(texts, options.workers, options.rounds)
    print(f"{options.docs} documents, {tokens:,} tokens, {options.workers} workers, or threads of the peer")
    clock, spent = found[PEER]
    for name, (seconds, cpu) in found.items():
        print(
            f"  {name:22} {tokens / seconds:8,.0f} tokens/s {clock / seconds:5.2f}x"
            f" {tokens / cpu:8,.0f} tokens/CPU-s {spent / cpu:5.2f}x"
        )


if __name__ == "__main__":
    main()
