"""Texts as token ids."""

import pytest

from classifine.data.encode import text_kind, tokenise


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["good film", "a bore"], "short"),
        (["good film"] * 3 + ["the printer is broken " * 40], "short"),
        (["the printer is broken " * 10], "long"),
        (["good film"] * 5000 + ["the printer is broken " * 10] * 5000, "long"),
        ([("good film", "a bore")], "pairs"),
        ([], "long"),
    ],
)
def test_kind_of_texts(saved, texts, kind):
    assert text_kind(texts, saved.tokenizer, 32) == kind


def test_half_a_letter_pair_is_read_as_a_question_mark(saved):
    assert tokenise(["bill \ud83d"], saved.tokenizer, 32) == tokenise(["bill ?"], saved.tokenizer, 32)
    assert tokenise([("a", "\udcff")], saved.tokenizer, 32) == tokenise([("a", "?")], saved.tokenizer, 32)
