"""A real model, SmolLM2-135M (`python -m pipeline.fetch causal`): it says what it should, through any tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from operators.transplant.bits_per_byte import Tables
from operators.transplant.language_model import LanguageModel, as_tensor
from operators.transplant.model_files import Model, open_model
from operators.transplant.segments import encoded
from operators.transplant.trial import Made, Texts, Trial, tried

PATH = Path(__file__).resolve().parents[3] / "data/models/SmolLM2/SmolLM2-135M-Instruct.Q4_1.gguf"
TEXTS = ("The capital of France is Paris, and 1984 is a novel by George Orwell.", "def f(x):\n    return x + 1\n" * 3)

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PATH.is_file(), reason="needs the model: python -m pipeline.fetch causal"),
]


@pytest.fixture(scope="module")
def model() -> Model:
    return open_model(str(PATH))


def test_the_capital_of_france_is_paris(model: Model) -> None:
    from tokenizers import Tokenizer

    body, tokenizer = LanguageModel(str(PATH), model), Tokenizer.from_str(model.tokenizer_json.decode())
    ids = encoded(["The capital of France is ..."], model.tokenizer_json)[0]
    assert tokenizer.decode(ids[:5].tolist()) == "The capital of France is"
    import torch

    table = as_tensor(model.input_table)
    with torch.inference_mode():
        states = body.run(table, as_tensor(body.start), torch.from_numpy(ids))
    best = int((states[5] @ table.T).argmax())
    assert tokenizer.decode([best]) == " Paris"


def test_its_own_tokenizer_changes_nothing(model: Model) -> None:
    rows = len(model.input_table)
    made = Made(
        Tables(model.input_table.copy()), np.zeros(rows, bool), model.tokenizer_json, "copies", np.ones(rows, bool)
    )
    _, about = tried(str(PATH), model, made, Texts(TEXTS), Trial(), 0)
    assert about["above_source"]["made"]["bits_per_byte"] == pytest.approx(0, abs=1e-6)
    assert 0.5 < about["readings"]["source"]["bits_per_byte"] < 1.5
