import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load, save, save_file

from operators.base import DataError, RecipeError
from operators.init_embeddings import InitEmbeddings
from operators.tokenizer_files import to_tokenizer_json
from operators.train_tokenizer import TrainTokenizer
from operators.transplant.choice import WITHOUT_VECTORS, Method
from operators.transplant.matching import match
from operators.transplant.model_files import open_model
from operators.transplant.vocabularies import read_forms
from operators.transplant.weights import apply, read
from operators.trim_tokenizer import TrimTokenizer
from operators.vocabulary import from_merges
from tests.operators.harness import Engine, corpus, deal, run
from tests.operators.kernels.test_bpe import library_sources
from tests.operators.transplant.models import LLAMA, table, vocabulary, write_folder
from tests.operators.transplant.small_tokenizers import sentencepiece_json

SOURCES = library_sources(60_000)
PATTERN = r" ?\p{L}+| ?\p{N}+|\s+|[^\s\p{L}\p{N}]+"
FAST = {"dim": 16, "min_count": 3, "held_out": 60}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model whose vocabulary was trained on half of the texts, and a tokenizer that was trained on the others."""
    folder = tmp_path_factory.mktemp("models")
    made = []
    for texts in (SOURCES[::2], SOURCES[1::2]):
        step = TrainTokenizer(pretokenizer="gpt2", vocab_sizes=(700,), special_tokens=("<|endoftext|>",))
        made.append(run(step, [corpus(texts)]).artifacts["train"].read("tokenizer.json"))
    write_folder(folder / "old", {"model.embed_tokens.weight": table(700, 16, seed=1)})
    (folder / "old" / "tokenizer.json").write_bytes(made[0])
    (folder / "new.json").write_bytes(made[1])
    return folder / "old", folder / "new.json"


def built(tokenizers: tuple[Path, Path], texts: list[str] = SOURCES, shuffle: int = 0, **how: Any) -> dict[str, bytes]:  # noqa: ANN401
    is_trained = "donor" not in how and how.get("method") not in WITHOUT_VECTORS
    fast = FAST if is_trained else {"held_out": FAST["held_out"]}
    step = InitEmbeddings(model=str(tokenizers[0]), tokenizer=str(tokenizers[1]), **{**fast, **how})
    step.check()
    engine = run(step, deal(corpus(texts), 3) if shuffle else [corpus(texts)], shuffle=shuffle)
    return files_of(engine)


def files_of(engine: Engine) -> dict[str, bytes]:
    names = ("embeddings.safetensors", "weights.npz", "tokenizer.json", "init_report.json")
    return {name: engine.artifacts["build"].read(name) for name in names}


def test_shared_tokens_are_copied_to_the_bit_and_others_are_inside_the_hull(tokenizers: tuple[Path, Path]) -> None:
    files = built(tokenizers)
    report, weights = json.loads(files["init_report.json"]), read(files["weights.npz"])
    old, new = open_model(str(tokenizers[0])).input_table, load(files["embeddings.safetensors"])["embed"]
    source, target = (read_forms(Path(path).read_bytes()) for path in (tokenizers[0] / "tokenizer.json", tokenizers[1]))
    matches = match(source, target)
    shared = np.flatnonzero(matches.old >= 0)
    assert 300 < len(shared) < 690
    assert new[shared].tobytes() == old[matches.old[shared]].tobytes()
    assert (weights.values >= 0).all()
    np.testing.assert_allclose(weights.sums(), 1, atol=1e-5)
    longest = np.linalg.norm(old, axis=1).max()
    assert np.linalg.norm(new, axis=1).max() <= longest * (1 + 1e-6)
    assert apply(weights, old).tobytes() == new.tobytes()
    assert report["routes"] == weights.routes()
    assert report["routes"]["mixed"] > 50
    assert len(report["mean_tokens"]) == min(report["routes"].get("mean", 0), 8)
    assert 20 <= report["held_out"]["tokens"] <= 60
    assert report["held_out"]["all"]["recall_at_10"]["low"] <= report["held_out"]["all"]["recall_at_10"]["mean"]
    assert files["tokenizer.json"] == tokenizers[1].read_bytes()


def test_how_documents_lie_in_shards_does_not_matter(tokenizers: tuple[Path, Path]) -> None:
    assert built(tokenizers) == built(tokenizers, shuffle=5)


@pytest.mark.parametrize("method", ["wechsel", "omp", "subword", "variant_subword", "normal", "mean", "focus", "ridge"])
def test_every_method_fills_every_row(method: str, tokenizers: tuple[Path, Path]) -> None:
    files = built(tokenizers, method=method)
    weights, new = read(files["weights.npz"]), load(files["embeddings.safetensors"])["embed"]
    assert np.isfinite(new).all()
    assert new.shape == (700, 16)
    assert (np.abs(new).max(axis=1) > 0).all()
    np.testing.assert_allclose(weights.sums(), 1, atol=1e-4)
    if method != "normal":
        assert (weights.values >= 0).all()


def test_the_same_tokenizer_gives_the_same_table(tokenizers: tuple[Path, Path]) -> None:
    files = built((tokenizers[0], tokenizers[0] / "tokenizer.json"))
    old = open_model(str(tokenizers[0])).input_table
    assert load(files["embeddings.safetensors"])["embed"].tobytes() == old.tobytes()
    assert json.loads(files["init_report.json"])["routes"] == {"exact": 699, "special": 1}


def test_an_untied_model_gets_two_tables_by_the_same_weights(tokenizers: tuple[Path, Path], tmp_path: Path) -> None:
    config = json.loads((tokenizers[0] / "config.json").read_text()) | {"tie_word_embeddings": False}
    tables = {"model.embed_tokens.weight": table(700, 16, seed=1), "lm_head.weight": table(700, 16, seed=2)}
    write_folder(tmp_path / "untied", tables, config)
    (tmp_path / "untied" / "tokenizer.json").write_bytes((tokenizers[0] / "tokenizer.json").read_bytes())
    files = built((tmp_path / "untied", tokenizers[1]))
    made, weights = load(files["embeddings.safetensors"]), read(files["weights.npz"])
    assert sorted(made) == ["embed", "lm_head"]
    assert made["lm_head"].tobytes() == apply(weights, tables["lm_head.weight"]).tobytes()
    assert built(tokenizers)["weights.npz"] == files["weights.npz"], "the tables' numbers decide nothing"


def test_a_trimmed_vocabulary_is_a_copy_and_logits_on_kept_text_are_equal(tokenizers: tuple[Path, Path]) -> None:
    """Trimming closes the merges of what it keeps (lm-vocab-trimmer does not): kept text has the same pieces."""
    from tokenizers import Tokenizer

    texts = SOURCES[:3]
    trimming = TrimTokenizer(tokenizer=str(tokenizers[0] / "tokenizer.json"))
    content = run(trimming, [corpus(texts)]).artifacts["trim"].read("tokenizer.json")
    smaller = tokenizers[1].parent / "trimmed.json"
    smaller.write_bytes(content)
    files = built((tokenizers[0], smaller), held_out=0)
    old, new = open_model(str(tokenizers[0])).input_table, load(files["embeddings.safetensors"])["embed"]
    assert len(new) < len(old)
    assert set(json.loads(files["init_report.json"])["routes"]) == {"exact", "special"}
    states = table(5, 16, seed=9)
    before, after = Tokenizer.from_file(str(tokenizers[0] / "tokenizer.json")), Tokenizer.from_file(str(smaller))
    for text in texts:
        ours, theirs = after.encode(text).ids, before.encode(text).ids
        assert new[ours].tobytes() == old[theirs].tobytes(), "what is read is equal"
        np.testing.assert_array_equal(
            [states @ new[one] for one in ours], [states @ old[one] for one in theirs], "and so is every logit"
        )


def test_a_donor_that_owns_the_new_tokens_is_compared_instead_of_text(
    tokenizers: tuple[Path, Path], tmp_path: Path
) -> None:
    wider = {**LLAMA, "hidden_size": 32}
    write_folder(tmp_path / "donor", {"model.embed_tokens.weight": table(700, 32, seed=4)}, wider)
    (tmp_path / "donor" / "tokenizer.json").write_bytes(tokenizers[1].read_bytes())
    files = built(tokenizers, donor=str(tmp_path / "donor"), method="omp")
    weights = read(files["weights.npz"])
    assert weights.routes()["omp"] > 50
    sizes = np.diff(weights.indptr)[weights.route == 9]
    assert sizes.max() <= 2, "a sixteenth of the donor's numbers"


def test_what_is_wrong_is_said_before_the_work(tokenizers: tuple[Path, Path], tmp_path: Path) -> None:
    model, new = map(str, tokenizers)
    broken = table(700, 16)
    broken[41, 3] = np.nan
    write_folder(tmp_path / "nan", {"model.embed_tokens.weight": broken})
    (tmp_path / "nan" / "tokenizer.json").write_bytes((tokenizers[0] / "tokenizer.json").read_bytes())
    write_folder(tmp_path / "short", {"model.embed_tokens.weight": table(50, 16)})
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "other.json").write_bytes(sentencepiece_json("\u4e2d"))
    (tmp_path / "ranks").write_bytes(b"IQ== 0\n")
    (tmp_path / "pickled").write_bytes(b"\x80\x04N.")
    for given, error, told in (
        ({"model": "nowhere"}, RecipeError, "is not there"),
        ({"model": str(tmp_path / "nan")}, DataError, "not finite, the first of id 41"),
        ({"model": str(tmp_path / "short")}, DataError, "ids up to 261, and its table 50 rows"),
        ({"model": str(tmp_path / "pickle")}, RecipeError, "pickle"),
        ({"tokenizer": "nowhere.json"}, RecipeError, "cannot be read"),
        ({"tokenizer": str(tmp_path / "other.json")}, DataError, "share no token of text"),
        ({"tokenizer": str(tmp_path / "ranks")}, RecipeError, "expected a tokenizer.json"),
        ({"tokenizer": str(tmp_path / "pickled")}, RecipeError, "a pickled object, which is code"),
        ({"donor": "nowhere"}, RecipeError, "is not there"),
    ):
        with pytest.raises(error, match=told):
            InitEmbeddings(**{"model": model, "tokenizer": new, **given}).check()


@pytest.mark.parametrize("field", ["pairs", "rows"])
def test_a_file_that_is_missing_is_named_with_its_field(field: str, tokenizers: tuple[Path, Path]) -> None:
    step = InitEmbeddings(model=str(tokenizers[0]), step="s", **{"method": field, field: "nowhere"})
    with pytest.raises(RecipeError, match=rf"^{field} 'nowhere' cannot be read"):
        step.models()


def test_too_little_text_and_too_few_shared_tokens_are_said(tokenizers: tuple[Path, Path]) -> None:
    with pytest.raises(Exception, match=r"10 times in 1 document: .* a smaller min_count"):
        built(tokenizers, ["short"], min_count=10)
    few = tokenizers[1].parent / "few.json"
    few.write_bytes(to_tokenizer_json(from_merges([(b"t", b"h")], (PATTERN,))))
    report = json.loads(built((tokenizers[0], few))["init_report.json"])
    assert report["held_out"] == {"tokens": 0, "why": "fewer than 20 shared tokens could be held out"}


def test_a_model_and_its_digest_decide_the_result(tokenizers: tuple[Path, Path], tmp_path: Path) -> None:
    step = InitEmbeddings(model=str(tokenizers[0]), tokenizer=str(tokenizers[1]))
    there = tmp_path / "elsewhere"
    there.mkdir()
    for file in tokenizers[0].iterdir():
        (there / file.name).write_bytes(file.read_bytes())
    assert InitEmbeddings(model=str(there), tokenizer=str(tokenizers[1])).identity() == step.identity()
    save_file({"model.embed_tokens.weight": table(700, 16, seed=5)}, there / "model.safetensors")
    assert InitEmbeddings(model=str(there), tokenizer=str(tokenizers[1])).identity() != step.identity()


def test_the_small_model_of_the_tests_is_read() -> None:
    model = open_model(str(Path(__file__).resolve().parents[1] / "data" / "causal_model"))
    assert model.input_table.shape == (len(vocabulary().ids) + 1, 16)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"donor": "d", "method": "mean"}, "donor goes with a method that compares vectors, not 'mean'"),
        ({"old_text": "o"}, "old_text goes with method wechsel"),
        ({"old_text": "o", "method": "wechsel"}, "and with pairs"),
        ({"pairs": "p"}, "pairs goes with method pairs"),
        ({"method": "pairs"}, "needs a file of word pairs"),
        ({"method": "rows"}, "rows and method rows go together"),
        ({"rows": "r"}, "rows and method rows go together"),
        ({"strings": "e", "method": "subword"}, "strings goes with a method that compares vectors, not 'subword'"),
        ({"method": "mean", "temperature": 0.3}, "temperature 0.3 changes nothing with method 'mean': leave it out"),
        ({"method": "omp", "temperature": 0.3}, "temperature 0.3 changes nothing with method 'omp'"),
        ({"method": "variant_subword", "share": 0.3}, "share 0.3 changes nothing"),
        ({"method": "normal", "pieces": "first"}, "pieces 'first' changes nothing"),
        ({"method": "subword", "dim": 50}, "dim 50 changes nothing with method 'subword'"),
        ({"donor": "d", "epochs": 5}, "epochs 5 changes nothing with a donor, as no vectors are trained"),
        ({"strings": "static"}, "static is trained by embed_documents alone"),
        ({"step": "", "tokenizer": "t", "pretokenizer": "gpt2"}, r"(?s)pretokenizer\n.*not permitted"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        InitEmbeddings(**{"model": "m", "step": "s", **given})


@pytest.mark.parametrize("method", get_args(Method))
def test_a_step_with_its_defaults_written_out_loads_again(method: str) -> None:
    more = {name: "f" for name in ("pairs", "rows") if name == method}
    step = InitEmbeddings(model="m", step="s", method=method, **more)
    assert InitEmbeddings(**step.model_dump()) == step


def test_word_pairs_and_rows_of_a_file_are_taken(tokenizers: tuple[Path, Path], tmp_path: Path) -> None:
    target = read_forms(tokenizers[1].read_bytes())
    source = read_forms((tokenizers[0] / "tokenizer.json").read_bytes())
    new = [form for form in target.forms if form not in source.by_form and form[1:].isalpha() and form[:1] == b" "]
    (tmp_path / "words.tsv").write_bytes(b"".join(b"self\t" + form[1:] + b"\n" for form in new))
    files = built(tokenizers, method="pairs", pairs=str(tmp_path / "words.tsv"))
    assert read(files["weights.npz"]).routes()["imported"] >= 0.8 * len(new)
    given = table(700, 16, seed=8)
    save_file({"embed": given}, tmp_path / "rows.safetensors")
    files = built(tokenizers, method="rows", rows=str(tmp_path / "rows.safetensors"))
    made = load(files["embeddings.safetensors"])["embed"]
    imported = np.flatnonzero(read(files["weights.npz"]).route == 14)
    assert len(imported) > 100
    assert made[imported].tobytes() == given[imported].tobytes()


@pytest.mark.parametrize("field", ["pairs", "rows"])
def test_a_file_that_changes_after_the_plan_is_refused(
    field: str, tokenizers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").write_bytes(b"word\twoord\n")
    given: dict[str, Any] = {"method": field, field: str(tmp_path / "given"), "held_out": 0}
    step = InitEmbeddings(model=str(tokenizers[0]), tokenizer=str(tokenizers[1]), **given)
    planned = {**step.models(), field: "0" * 64}
    monkeypatch.setattr(InitEmbeddings, "models", lambda _: planned)
    with pytest.raises(RecipeError, match=rf"{field} '.*given' has sha256 .*, and had 000.*: start the run again"):
        run(step, [corpus(SOURCES[:9])])


@pytest.mark.parametrize(
    ("field", "content", "told"),
    [
        ("pairs", b"a\tb\nonly\n", "given line 2: 'only'"),
        ("rows", b"\x80\x04pickle", "given is no safetensors file"),
        ("rows", save({"embeddings": table(700, 16, seed=8)}), "given has 'embeddings', and no 'embed'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_the_work(
    field: str, content: bytes, told: str, tokenizers: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "given").write_bytes(content)
    given: dict[str, Any] = {"method": field, field: str(tmp_path / "given")}
    with pytest.raises(DataError, match=told):
        InitEmbeddings(model=str(tokenizers[0]), step="s", **given).check()


def test_two_languages_are_aligned_by_word_pairs(tokenizers: tuple[Path, Path], tmp_path: Path) -> None:
    words = sorted({word for text in SOURCES for word in text.split() if word.isalpha()})
    (tmp_path / "words.tsv").write_text("".join(f"{word}\t{word}\n" for word in words))
    step = InitEmbeddings(
        model=str(tokenizers[0]), tokenizer=str(tokenizers[1]), method="wechsel", old_text="old",
        pairs=str(tmp_path / "words.tsv"), **FAST,
    )  # fmt: skip
    step.check()
    engine = run(step, [corpus(SOURCES[1::2])], references={"old": [corpus(SOURCES[::2])]})
    routes = json.loads(files_of(engine)["init_report.json"])["routes"]
    assert routes["wechsel"] > 50


def test_an_encoder_of_texts_is_half_of_every_cosine(tokenizers: tuple[Path, Path]) -> None:
    strings = "tests.operators.transplant.small_tokenizers:letters"
    with_strings, alone = built(tokenizers, method="focus", strings=strings), built(tokenizers, method="focus")
    assert with_strings["weights.npz"] != alone["weights.npz"]
    step = InitEmbeddings(model=str(tokenizers[0]), tokenizer=str(tokenizers[1]), strings=strings)
    assert step.imports() == ("tests.operators.transplant.small_tokenizers",)
    assert "strings" in step.models()
