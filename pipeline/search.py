"""`vocabmill search`: the documents whose vectors are nearest to a text, or to a document, by brute force.

Every vector is compared, in some thousand rows at a time, so memory does not grow with the corpus: 2 bytes a component
are read for each document, some hundred thousand documents a second. Cosines are computed in double precision and
compared to six decimals; of equally near documents the smaller id is first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from operators.base import DataError, RecipeError
from operators.embedding.stages import EMBEDDING, FILE
from operators.embedding.stored import StoredVectors
from operators.vectors import Singles, numbers_of
from pipeline.publish import VERSIONS

if TYPE_CHECKING:
    from operators.embedding.encoders import Encoder, EncoderChoice

SHOWN: Final = 100
"""Characters of a text that are shown."""
_DECIMALS: Final = 6


@dataclass(frozen=True)
class Hit:
    """A document that was found. `source` and `excerpt` are empty where its text is nowhere."""

    id: str
    similarity: float
    source: str = ""
    excerpt: str = ""


@dataclass(frozen=True)
class Found:
    """What a search found, the nearest first."""

    vectors: str
    """The directory."""
    documents: int
    dimension: int
    query: str
    like: str
    results: list[Hit]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """A table."""
        if not self.results:
            return f"no other document in {self.vectors} has a vector"
        ids, sources = (max(len(name), *(len(getattr(hit, name)) for hit in self.results)) for name in ("id", "source"))
        lines = [f"similarity  {'id':{ids}}  {'source':{sources}}  text"]
        for hit in self.results:
            lines.append(f"{hit.similarity:10.4f}  {hit.id:{ids}}  {hit.source:{sources}}  {hit.excerpt}".rstrip())
        return "\n".join(lines)


def search(
    place: str, query: str, *, like: str = "", k: int = 10, step: str = "", encoder: str = "", prompt: str | None = None
) -> Found:
    """The `k` documents that are nearest to a text or to the document `like`, which is not among them.

    Args:
        place: a run's output directory, or a directory of vectors.
        query: the text; "" with `like`.
        like: an id; "" with a text.
        k: how many, at least 1.
        step: which of a run's steps made the vectors; "" where there is one.
        encoder: the model for the text; "" for the one that `model.json` names.
        prompt: put before the text; None for what was put before the documents.

    Raises RecipeError where there are no vectors, no such id or no such model, and where they do not fit.
    """
    if bool(query) == bool(like):
        said = f"the text {query!r} and --like {like}" if query else "neither, or an empty text"
        raise RecipeError(f"expected a text to look for, or --like ID; got {said}")
    if query and not query.strip():
        raise RecipeError(f"the text {query!r} has no token, as it is white space alone: look for another")
    for name, given in (("the text", query), ("--like", like), ("--prompt", prompt or "")):
        _refuse_bytes(name, given)
    directory = _vectors_at(Path(place), step)
    stored = StoredVectors(str(directory))
    wanted = _of_text(query, stored, encoder, prompt) if query else _of_document(like, stored)
    nearest = _nearest(stored, wanted, k, like)
    texts = _texts(directory, [name for _, name in nearest])
    hits = [Hit(name, -distance, *texts.get(name, ("", ""))) for distance, name in nearest]
    return Found(str(directory), stored.rows, stored.dimension, query, like, hits)


def _refuse_bytes(name: str, given: str) -> None:
    """Of bytes that are no UTF-8 Python makes halves of surrogate pairs, which no tokenizer and no id has."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(f"{name} {given!r} is no valid UTF-8: expected text in UTF-8") from error


def _vectors_at(place: Path, step: str) -> Path:
    """The directory of vectors that a run's output has, or that the place is."""
    if not place.is_dir():
        raise RecipeError(f"there is no directory {str(place)!r}: expected a run's output, or a directory of vectors")
    if not (place / "manifest.json").is_file():
        if step:
            raise RecipeError(f"--step {step}: {str(place)!r} is no run's output, as it has no manifest.json")
        if (place / VERSIONS).is_dir():
            raise RecipeError(f"no finished run is in {str(place)!r}: its run has failed, or goes on; run it again")
        if not any(place.glob("*.parquet")):
            raise RecipeError(
                f"{str(place)!r} has no manifest.json of a finished run, and holds no *.parquet of vectors"
            )
        return place
    folder = place / "artifacts"
    names = sorted(path.parent.name for path in folder.glob(f"*/{FILE}") if any(path.parent.glob("part-*.parquet")))
    if step and step not in names:
        raise RecipeError(f"--step {step}: no step of that name left vectors; there are {', '.join(names) or 'none'}")
    if not names:
        raise RecipeError(f"{str(place)!r} has no vectors: its recipe needs a step of kind embed_documents")
    if len(names) > 1 and not step:
        raise RecipeError(f"{str(place)!r} has vectors of {', '.join(names)}: say which with --step NAME")
    return folder / (step or names[0])


def _of_document(like: str, stored: StoredVectors) -> Singles:
    lists = stored.of(pa.chunked_array([[like]], pa.string()))
    if not lists.is_valid()[0].as_py():
        raise RecipeError(f"--like {like}: no document of that id has a vector in {str(stored.path)!r}")
    found: Singles = numbers_of(lists)[0]
    if not np.isfinite(found).all():
        raise _not_finite(like, stored)
    if not found.any():
        raise RecipeError(f"--like {like}: that document's vector is zeros, as of a text without a token")
    return found


def _of_text(query: str, stored: StoredVectors, encoder: str, prompt: str | None) -> Singles:
    from operators.embedding.static_encoder import StaticEncoder

    model = stored.model()
    if not model and not encoder:
        raise RecipeError(
            f"{str(stored.path)!r} has no {FILE}, which would say what made the vectors: give --encoder, or --like ID"
        )
    made = _encoder(stored, model if prompt is None else {**model, "prompt": prompt}, encoder)
    if prompt and isinstance(made, StaticEncoder):
        raise RecipeError(f"--prompt {prompt!r} means nothing to a static encoder: leave it out")
    if made.dimension != stored.dimension:
        raise RecipeError(
            f"the encoder makes vectors of {made.dimension} dimensions, but those in {str(stored.path)!r} have "
            f"{stored.dimension}: give the one that made them with --encoder"
        )
    vector: Singles = made.encode(
        pa.chunked_array([[query]], pa.large_string()), pa.chunked_array([["query"]], pa.string())
    )[0]
    if not vector.any():
        raise RecipeError(f"the text {query!r} has no token that the encoder knows: look for another")
    return vector


def _encoder(stored: StoredVectors, model: dict[str, Any], given: str) -> Encoder:
    """The encoder that is given, or the one that made the vectors: by its digest, if that is known."""
    from operators.embedding.encoders import STATIC
    from operators.embedding.makers import open_encoder

    if not given and model.get("encoder") == STATIC:
        return _trained_beside(stored, model)
    made_by = open_encoder(_choice(model, given or str(model.get("encoder", ""))))
    digest = made_by.describe().get("digest")
    if model.get("digest") and digest != model["digest"]:
        raise RecipeError(
            f"the encoder {given or model.get('encoder')!r} is not the one that made the vectors: its digest is "
            f"{str(digest)[:12]}, that in {FILE} {str(model['digest'])[:12]}"
        )
    return made_by


def _trained_beside(stored: StoredVectors, model: dict[str, Any]) -> Encoder:
    """The static model that the run trained: its folder lies beside that of the vectors, maybe with broken others."""
    from operators.embedding.makers import open_encoder
    from operators.embedding.static_files import is_static

    for folder in sorted(folder for folder in stored.path.parent.iterdir() if is_static(folder)):
        with suppress(RecipeError):
            made = open_encoder(_choice(model, str(folder)))
            if made.describe().get("digest") == model.get("digest"):
                return made
    raise RecipeError(
        f"the static model that made the vectors is not beside them in {str(stored.path.parent)!r}: give its folder "
        "with --encoder"
    )


def _choice(model: dict[str, Any], encoder: str) -> EncoderChoice:
    from operators.embedding.encoders import EncoderChoice

    used = {
        name: model[name]
        for name in ("pooling", "max_tokens", "chunks", "prompt", "dtype", "dimension", "backend")
        if name in model
    }
    try:
        return EncoderChoice.model_validate({**used, "encoder": encoder})
    except ValidationError:
        return EncoderChoice(encoder=encoder)


def _not_finite(name: str, stored: StoredVectors) -> DataError:
    return DataError(f"the vector of document {name!r} in {str(stored.path)!r} holds a number that is not finite")


def _nearest(stored: StoredVectors, wanted: Singles, k: int, like: str) -> list[tuple[float, str]]:
    """Minus the cosine, and the id, of the nearest, in order; of rows with one id the first counts."""
    asked = k
    while True:
        best = _nearest_rows(stored, wanted, asked, like)
        first = _first_rows(stored, [name for _, name, _ in best])
        found = [(distance, name) for distance, name, row in best if first[name] == row]
        if len(found) >= k or len(best) < asked:
            return found[:k]
        asked *= 2  # Repeats took the places of others.


def _nearest_rows(stored: StoredVectors, wanted: Singles, k: int, like: str) -> list[tuple[float, str, int]]:
    """Minus the cosine, the id and the number of the nearest rows, in order."""
    direction = wanted.astype(np.float64) / np.linalg.norm(wanted.astype(np.float64))
    best: list[tuple[float, str, int]] = []
    start = 0
    for batch in stored.batches():
        is_other = pc.and_(pc.is_valid(batch[EMBEDDING]), pc.not_equal(batch["id"], like)).fill_null(False)
        rows, numbers = batch.filter(is_other), start + np.flatnonzero(is_other.to_numpy())
        start += batch.num_rows
        vectors = numbers_of(pa.concat_arrays([pa.array([], stored.type), *rows[EMBEDDING].chunks])).astype(np.float64)
        length = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(length).all():
            raise _not_finite(rows["id"][int(np.flatnonzero(~np.isfinite(length))[0])].as_py(), stored)
        there = np.flatnonzero(length > 0)
        near = np.round(vectors[there] @ direction / length[there], _DECIMALS)
        if near.size > k:
            close = near >= np.partition(near, near.size - k)[near.size - k]
            near, there = near[close], there[close]
        names = rows["id"].take(pa.array(there)).to_pylist()
        best = sorted([*best, *zip((-near).tolist(), names, numbers[there].tolist(), strict=True)])[:k]
    return best


def _first_rows(stored: StoredVectors, names: list[str]) -> dict[str, int]:
    """For each id the number of the first row that has it."""
    wanted = pa.array(sorted(set(names)), pa.string())
    first: dict[str, int] = {}
    start = 0
    for batch in stored.batches(only_ids=True):
        hit = pc.is_in(batch["id"], value_set=wanted)
        for row in np.flatnonzero(hit.to_numpy()).tolist():
            first.setdefault(batch["id"][row].as_py(), start + row)
        start += batch.num_rows
    return first


def _texts(directory: Path, names: list[str]) -> dict[str, tuple[str, str]]:
    """Source and excerpt of documents that the run's corpus has, or the trace of what it dropped."""
    run = directory.parent.parent
    found: dict[str, tuple[str, str]] = {}
    if not (run / "manifest.json").is_file():
        return found
    for folder, column in (("dropped", "excerpt"), ("corpus", "text")):
        for file in sorted((run / folder).glob("*.parquet")):
            for row in _rows(pq.ParquetFile(file), names, column):
                found[row["id"]] = str(row["source"] or ""), _excerpt(row[column] or "")
    return found


def _rows(file: pq.ParquetFile, names: list[str], column: str) -> Iterator[dict[str, Any]]:
    """The documents of those ids; texts are read only of row groups that have any."""
    wanted = pa.array(names, pa.string())
    for group in range(file.num_row_groups):
        hit = pc.is_in(file.read_row_group(group, columns=["id"])["id"].cast(pa.string()), value_set=wanted)
        if pc.any(hit).as_py():
            yield from file.read_row_group(group, columns=["id", "source", column]).filter(hit).to_pylist()


def _excerpt(text: str) -> str:
    """The first characters of a text in one line.

    >>> _excerpt("one   two"), len(_excerpt("x" * 500))
    ('one two', 100)
    """
    line = " ".join(text[: 4 * SHOWN].split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}\u2026"
