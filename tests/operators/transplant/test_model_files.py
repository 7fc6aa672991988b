"""Reading a model: what is in a folder or a GGUF file comes out as it is, and what is no causal model is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE

from operators.base import RecipeError
from operators.byte_alphabet import to_characters
from operators.transplant.model_files import EMBED, LM_HEAD, digest, open_model, to_safetensors
from operators.transplant.tensor_files import INDEX, SINGLE, Tensors
from tests.operators.transplant.models import LLAMA, ROWS, SPECIAL, table, vocabulary, write_folder, write_gguf

READS = "model.embed_tokens.weight"


def tied(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return {**LLAMA, "tie_word_embeddings": True, **changes}


def test_a_folder_gives_its_tables_tokenizer_and_configuration(tmp_path: Path) -> None:
    reads, predicts = table(ROWS), table(ROWS, seed=1)
    model = open_model(str(write_folder(tmp_path / "m", {READS: reads, "lm_head.weight": predicts})))
    assert np.array_equal(model.input_table, reads)
    assert model.output_table is not None
    assert np.array_equal(model.output_table, predicts)
    assert model.predicts is model.output_table
    assert model.config == LLAMA
    assert model.tokenizer_json == (tmp_path / "m/tokenizer.json").read_bytes()


@pytest.mark.parametrize("head", [(), ("lm_head.weight",)])
def test_one_table_is_tied_however_it_is_said(tmp_path: Path, head: tuple[str, ...]) -> None:
    """Without a head the two are one; a head beside `tie_word_embeddings` is a copy."""
    tables = {READS: table(ROWS), **{name: table(ROWS) for name in head}}
    model = open_model(str(write_folder(tmp_path / "m", tables, tied() if head else LLAMA)))
    assert model.output_table is None
    assert model.predicts is model.input_table


def test_shards_are_read_through_their_index(tmp_path: Path) -> None:
    whole = {READS: table(ROWS), "lm_head.weight": table(ROWS, seed=1)}
    folder = write_folder(tmp_path / "m", {READS: whole[READS]})
    (folder / SINGLE).rename(folder / "a.safetensors")
    write_folder(folder, {"lm_head.weight": whole["lm_head.weight"]})
    (folder / SINGLE).rename(folder / "b.safetensors")
    places = {READS: "a.safetensors", "lm_head.weight": "b.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    model = open_model(str(folder))
    assert np.array_equal(model.input_table, whole[READS])
    assert np.array_equal(model.predicts, whole["lm_head.weight"])
    (folder / "b.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"names 'b\.safetensors'.*fetch the whole model"):
        open_model(str(folder))


def test_bfloat16_and_float16_are_widened_exactly(tmp_path: Path) -> None:
    halves = table(4).astype(np.float16)
    write_folder(tmp_path / "m", {"half": halves})
    assert np.array_equal(Tensors([tmp_path / "m" / SINGLE]).read("half"), halves.astype(np.float32))
    upper = (table(4).view(np.uint32) >> 16).astype(np.uint16)
    content = json.dumps({"b": {"dtype": "BF16", "shape": [4, 16], "data_offsets": [0, 128]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + upper.tobytes())
    read = Tensors([tmp_path / "b.safetensors"]).read("b")
    assert np.array_equal(read.view(np.uint32), upper.astype(np.uint32) << 16)


def test_a_gguf_file_gives_the_same_as_the_folder(tmp_path: Path) -> None:
    reads, predicts = table(ROWS), table(ROWS, seed=1)
    of_folder = open_model(str(write_folder(tmp_path / "m", {READS: reads, "lm_head.weight": predicts})))
    of_file = open_model(str(write_gguf(tmp_path / "m.gguf", {"token_embd.weight": reads, "output.weight": predicts})))
    assert np.array_equal(of_file.input_table, of_folder.input_table)
    assert np.array_equal(of_file.predicts, of_folder.predicts)
    assert {name: of_file.config[name] for name in LLAMA} == LLAMA
    assert of_file.config["tie_word_embeddings"] is False
    assert open_model(str(write_gguf(tmp_path / "t.gguf", {"token_embd.weight": reads}))).output_table is None


def test_the_tokenizer_of_a_gguf_file_encodes_as_its_parts_do(tmp_path: Path) -> None:
    """Digits one by one, then GPT-2's pattern: as the components of `tokenizers` that the model was trained with."""
    known = vocabulary()
    model = open_model(str(write_gguf(tmp_path / "m.gguf", {"token_embd.weight": table(ROWS)})))
    rebuilt = Tokenizer.from_str(model.tokenizer_json.decode())
    strings = {to_characters(token): number for token, number in known.ids.items()}
    merges = [(to_characters(left), to_characters(right)) for left, right in known.merges]
    parts = Tokenizer(BPE(strings, merges))
    parts.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    for text in (
        "in 2026 the 3the and\u00a0the \u0663\u0664",
        "  and\n\nthe 'tis don't",
        "\u4e2d\u6587 th e\u0301 \U0001f600",
    ):
        assert rebuilt.encode(text).ids == parts.encode(text).ids
        assert rebuilt.decode(rebuilt.encode(text).ids) == text
    assert rebuilt.encode(f"the{SPECIAL[0]}").ids[-1] == ROWS - 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architectures": ["BertModel"]}, r"architecture BertModel.*an encoder has no table that predicts"),
        ({"architectures": None}, "architecture none"),
        ({"is_encoder_decoder": True}, "expected a causal language model"),
    ],
)
def test_other_kinds_of_model_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)}, tied(**changes))
    with pytest.raises(RecipeError, match=says):
        open_model(str(folder))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({READS: table(ROWS - 1)}, r"ids up to 261, and its table 261 rows"),
        ({READS: np.where(np.arange(ROWS)[:, None] == 7, np.nan, table(ROWS))}, r"1 of 262 .*the first of id 7"),
        ({READS: table(ROWS), "lm_head.weight": table(ROWS, 8)}, r"shape \(262, 16\).*\(262, 8\)"),
        ({READS: table(ROWS), "lm_head.bias": table(1, ROWS)[0]}, "a number of each token's own"),
        ({READS: table(ROWS).astype(np.int8)}, "is of kind I8"),
        ({"other.weight": table(ROWS)}, "laid out in a way we do not know"),
    ],
)
def test_tables_that_cannot_be_right_are_refused(tmp_path: Path, tensors: dict[str, Any], says: str) -> None:
    folder = write_folder(tmp_path / "m", tensors)
    with pytest.raises(RecipeError, match=says):
        open_model(str(folder))


@pytest.mark.parametrize(
    ("changes", "tensors", "says"),
    [
        ({"tie_word_embeddings": False}, {READS: table(ROWS)}, r"tie_word_embeddings: false.*lm_head\.weight or"),
        ({"vocab_size": 300}, {READS: table(ROWS)}, r"says vocab_size 300, and .* has 262 rows of 16 numbers"),
        ({"text_config": {"vocab_size": 300}}, {READS: table(ROWS)}, "says vocab_size 300"),
        ({"hidden_size": 32}, {READS: table(ROWS)}, "says hidden_size 32"),
        ({}, {READS: np.zeros((ROWS, 16), np.float32)}, "all 262 token vectors are zero"),
        ({}, {READS: table(ROWS), "lm_head.weight": np.zeros((ROWS, 16), np.float32)}, "token vectors are zero"),
    ],
)
def test_tables_and_configuration_that_contradict_each_other_are_refused(
    tmp_path: Path, changes: dict[str, Any], tensors: dict[str, Any], says: str
) -> None:
    folder = write_folder(tmp_path / "m", tensors, {**LLAMA, **changes})
    with pytest.raises(RecipeError, match=says):
        open_model(str(folder))


def test_a_padded_table_is_no_contradiction(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS + 58)}, tied(vocab_size=ROWS))
    assert len(open_model(str(folder)).input_table) == ROWS + 58


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)})
    (folder / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match=r"lacks tokenizer\.json: write it with"):
        open_model(str(folder))
    (folder / SINGLE).rename(folder / "pytorch_model.bin")
    with pytest.raises(RecipeError, match=r"pytorch_model\.bin is a pickle"):
        open_model(str(folder))
    with pytest.raises(RecipeError, match="is a pickle, and reading one runs what it says"):
        open_model(str(folder / "pytorch_model.bin"))
    with pytest.raises(RecipeError, match="is not there: expected a folder"):
        open_model(str(tmp_path / "nowhere"))
    (folder / "pytorch_model.bin").unlink()
    write_gguf(folder / "m.gguf", {"token_embd.weight": table(ROWS)})
    with pytest.raises(RecipeError, match=r"holds m\.gguf: give that file"):
        open_model(str(folder))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "bert"}, r"an encoder \(bert\)"),
        ({"model": "llama"}, "of kind 'llama' cut by 'smollm'.*give the model as a folder"),
        ({"pre": "unheard-of"}, "cut by 'unheard-of'"),
    ],
)
def test_gguf_files_of_other_kinds_are_refused(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": table(ROWS)}, **changes)
    with pytest.raises(RecipeError, match=says):
        open_model(str(path))


@pytest.mark.parametrize("length", [0, 4, 30, 3000, -40])
def test_files_that_are_cut_short_are_refused(tmp_path: Path, length: int) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)})
    gguf = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": table(ROWS)})
    for path in (folder / SINGLE, gguf):
        path.write_bytes(path.read_bytes()[:length])
    for model in (folder, gguf):
        with pytest.raises(RecipeError, match=r"fetch it again|fetch the model again"):
            open_model(str(model))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda whole: whole[:-40], r"ends at byte \d+, in the middle of its tensors: the file is cut off"),
        (lambda whole: whole[:300], "of 300 bytes is no whole GGUF file"),
        (lambda whole: b"JUNK" + whole[4:], "does not begin with GGUF"),
    ],
)
def test_what_is_wrong_with_a_gguf_file_is_told(tmp_path: Path, content: Callable[[bytes], bytes], says: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": table(ROWS)})
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(RecipeError, match=says) as caught:
        open_model(str(path))
    assert "reshape" not in str(caught.value)


def test_a_tokenizer_without_a_vocabulary_is_told_in_words(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)})
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    with pytest.raises(RecipeError, match=r"that we can read \(no 'vocab'\)"):
        open_model(str(folder))


def test_the_index_names_what_is_missing_as_it_is_written(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)})
    (folder / INDEX).write_text(json.dumps({"weight_map": {READS: "../other.safetensors"}}))
    with pytest.raises(RecipeError, match=r"names '\.\./other\.safetensors'.*has model\.safetensors as well"):
        open_model(str(folder))


def test_the_digest_is_of_every_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", {READS: table(ROWS)})
    before = digest(str(folder))
    assert open_model(str(folder), before).digest == before
    (folder / "config.json").write_text(json.dumps(tied()))
    assert digest(str(folder)) != before
    with pytest.raises(RecipeError, match="start the run again"):
        open_model(str(folder), before)


def test_tables_are_written_as_they_are_and_alike_every_time(tmp_path: Path) -> None:
    reads, predicts = table(5), table(5, seed=1)
    content = to_safetensors(reads, predicts, {"method": "x", "a": "b"})
    assert content == to_safetensors(reads, predicts, {"a": "b", "method": "x"})
    (tmp_path / "e.safetensors").write_bytes(content)
    read = Tensors([tmp_path / "e.safetensors"])
    theirs = load_file(tmp_path / "e.safetensors")
    assert np.array_equal(theirs[EMBED], reads)
    assert np.array_equal(read.read(EMBED), reads)
    assert np.array_equal(read.read(LM_HEAD), predicts)
    assert set(Tensors([tmp_path / "e.safetensors"]).places) == {EMBED, LM_HEAD}
    (tmp_path / "e.safetensors").write_bytes(to_safetensors(reads, None, {}))
    assert set(Tensors([tmp_path / "e.safetensors"]).places) == {EMBED}
