"""What a base model puts in the place of a mask."""

import json

import pytest
import torch

from classifine.errors import DataError, ModelError
from classifine.infer.fill import fill_mask
from classifine.model.base import find_base
from classifine.model.network import quiet_transformers


@pytest.fixture(scope="module")
def masked(tmp_path_factory, base):
    """The tiny base with the head of its pre-training, biased to one word."""
    from transformers import AutoTokenizer, BertForMaskedLM

    folder = tmp_path_factory.mktemp("masked") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(base)
    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(0)
        network = BertForMaskedLM.from_pretrained(base)
        network.cls.predictions.bias.data[tokenizer.convert_tokens_to_ids("parcel")] = 5.0
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("text", ["my [MASK] is late", "my <mask> is late"])
def test_the_best_tokens_come_first(masked, text):
    (guesses,) = fill_mask(text, find_base(str(masked)), 5)
    assert guesses[0].token == "parcel"
    assert len(guesses) == 5
    assert [guess.score for guess in guesses] == sorted((guess.score for guess in guesses), reverse=True)
    assert 0 < sum(guess.score for guess in guesses) < 1


def test_the_scores_are_those_of_plain_transformers(masked):
    from transformers import pipeline

    told = pipeline("fill-mask", str(masked), top_k=3)("my [MASK] is late")
    (guesses,) = fill_mask("my [MASK] is late", find_base(str(masked)), 3)
    assert [(guess.token, guess.id) for guess in guesses] == [(item["token_str"], item["token"]) for item in told]
    assert [guess.score for guess in guesses] == pytest.approx([item["score"] for item in told], abs=1e-5)


def test_each_mask_is_filled(masked):
    assert len(fill_mask("[MASK] parcel [MASK]", find_base(str(masked)), 2)) == 2


def test_a_base_without_that_head(base):
    with pytest.raises(ModelError, match=r"has no head that fills masks.* Choose another --base"):
        fill_mask("my [MASK]", find_base(str(base)), 5)


@pytest.mark.parametrize(
    ("text", "words"), [("no mask here", "has no mask"), ("a " * 200 + "[MASK]", "tokens; expected 64")]
)
def test_a_text_that_cannot_be_filled(masked, text, words):
    with pytest.raises(DataError, match=words):
        fill_mask(text, find_base(str(masked)), 5)


def test_from_the_command_line(masked, capsys, monkeypatch):
    from classifine import cli

    for more in ([], ["--json"]):
        monkeypatch.setattr(
            "sys.argv", ["classifine", "fill-mask", "my [MASK]", "--base", str(masked), "--top-k", "2", *more]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert json.loads(out)[0][0]["token"] == "parcel" if more else out.startswith("parcel ")
