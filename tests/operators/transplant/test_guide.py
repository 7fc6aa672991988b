"""What docs/transplant.md and its recipe say of models at hand holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from operators.tokenizer_files import to_tokenizer_json
from operators.transplant.model_files import to_safetensors
from tests.operators.transplant.models import ROWS, llama, table, vocabulary, write_folder, write_gguf

ROOT = Path(__file__).resolve().parents[3]
CHARACTERS = "ab's.(1 2\n\t\u00bd\u00e9\u4e2d\u0663"


def recipe_pattern() -> str:
    steps = yaml.safe_load((ROOT / "recipes/transplant.yaml").read_text())["steps"]
    return str(next(step["pattern"] for step in steps if step["kind"] == "train_tokenizer"))


@given(st.text(st.sampled_from(CHARACTERS), max_size=30))
def test_the_recipe_cuts_numbers_as_the_model_does(text: str) -> None:
    """SmolLM2's tokenizer.json: digits one by one, then GPT-2's pattern on what is between them."""
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ours = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(recipe_pattern()), "isolated"), bare])
    theirs = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert ours.pre_tokenize_str(text) == theirs.pre_tokenize_str(text)


@pytest.mark.torch
@pytest.mark.parametrize("is_gguf", [False, True])
def test_the_guide_puts_tables_into_a_model_and_generates(is_gguf: bool, tmp_path: Path) -> None:
    old = tmp_path / ("old.gguf" if is_gguf else "old")
    if is_gguf:
        pytest.importorskip("accelerate")
        write_gguf(old, llama(tied=True))
    else:
        import transformers

        write_folder(old, {"unused": table(1)})
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = transformers.LlamaConfig(vocab_size=ROWS + 9, tie_word_embeddings=True, **sizes)
        transformers.LlamaForCausalLM(config).save_pretrained(old)
    made = table(ROWS, seed=3)
    (tmp_path / "embeddings.safetensors").write_bytes(to_safetensors(made, None, {}))
    (tmp_path / "tokenizer.json").write_bytes(to_tokenizer_json(vocabulary()))
    use, save = re.findall(r"```python\n(.*?)```", (ROOT / "docs/transplant.md").read_text(), re.DOTALL)[:2]
    code = re.sub(r"^old = .*$", f"old = Path({str(old)!r})", use, flags=re.MULTILINE)
    code = re.sub(r"^made = .*$", f"made = Path({str(tmp_path)!r})", code, flags=re.MULTILINE)
    code += save.replace('"new"', repr(str(tmp_path / "new")))
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["model"].get_output_embeddings().weight.tolist() == made.tolist()
    for settings in (found["model"].config, found["model"].generation_config):
        assert settings.eos_token_id == ROWS - 1
        assert settings.bos_token_id is None
        assert settings.pad_token_id is None
    assert (tmp_path / "new/model.safetensors").is_file()
