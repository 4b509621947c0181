"""Every family of encoders that we claim, each with its own kind of tokenizer, through every task and back."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from conftest import made_up

from classifine import TextClassifier
from classifine.data.encode import encode_texts, pad_id, tokenise
from classifine.infer.exported_engine import open_exported
from classifine.infer.forward import logits
from classifine.infer.masked import asked_alone
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.export import export_float
from classifine.model.masked import load_masked, save_adapted
from classifine.model.network import load_base, output_layer, quiet_transformers
from classifine.model.pooled import load_pooled
from classifine.train.detector import load_detector, share_words
from classifine.train.masking import masking_collator
from classifine.train.start import start_at_shares

TEXTS = [text for text, _ in made_up(40, seed=9)]
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 66,
}  # fmt: skip
# The kind of tokenizer, and what the small network needs beside SMALL.
FAMILIES = {
    "Bert": ("wordpiece", {}),
    "Electra": ("wordpiece", {"embedding_size": 16}),
    "DistilBert": ("wordpiece", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}),
    "Roberta": ("bytes", {"type_vocab_size": 1}),
    "Camembert": ("unigram", {"type_vocab_size": 1}),
    "XLMRoberta": ("unigram", {"type_vocab_size": 1}),
    "ModernBert": ("bytes", {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "DebertaV2": ("unigram", {"type_vocab_size": 0, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}),
}  # fmt: skip


def tokenizer_of(kind):
    """A tokenizer of a family's kind, learned from made-up texts, with the special tokens and places of that family."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    cls, sep, pad, unknown, mask = (
        ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
        if kind == "wordpiece"
        else ("<s>", "</s>", "<pad>", "<unk>", "<mask>")
    )
    special = [cls, pad, sep, unknown, mask]
    if kind == "wordpiece":
        special = [pad, unknown, cls, sep, mask]
        words = Tokenizer(models.WordPiece(unk_token=unknown))
        words.normalizer, words.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    elif kind == "bytes":
        words = Tokenizer(models.BPE())
        words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        words = Tokenizer(models.Unigram())
        words.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=special, unk_token=unknown, show_progress=False
        )
    words.train_from_iterator(TEXTS, trainer)
    ids = [(cls, words.token_to_id(cls)), (sep, words.token_to_id(sep))]
    double, second = ("", 1) if kind == "wordpiece" else (f"{sep} ", 0)
    words.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} {double}$B:{second} {sep}:{second}", special_tokens=ids
    )
    names = ["input_ids", "token_type_ids"] if kind == "wordpiece" else ["input_ids"]
    return PreTrainedTokenizerFast(
        tokenizer_object=words, cls_token=cls, sep_token=sep, pad_token=pad, unk_token=unknown, mask_token=mask,
        model_max_length=64, model_input_names=[*names, "attention_mask"],
    )  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request, tmp_path_factory):
    """A folder with a small network of one family, random weights, and its tokenizer."""
    import transformers

    kind, more = FAMILIES[request.param]
    tokenizer = tokenizer_of(kind)
    if request.param == "DistilBert":
        # It calls its sizes by other names, and takes no token types.
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = getattr(transformers, f"{request.param}Config")(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **({**SMALL, **more}),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("encoders") / request.param.lower()
    with quiet_transformers(), torch.random.fork_rng():
        torch.manual_seed(0)
        getattr(transformers, f"{request.param}Model")(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


LABELS = {
    "single": ["abc"[i % 3] for i in range(40)],
    "multi": [["a"], ["b"], ["a", "b"], ["c"]] * 10,
    "pair": ["ab"[i % 2] for i in range(40)],
    "score": [0.5 * (i % 7) + 0.25 for i in range(40)],
}


@pytest.mark.parametrize("task", LABELS)
def test_every_task_there_and_back(encoder, task, tmp_path):
    texts = list(zip(TEXTS, TEXTS[::-1], strict=True)) if task == "pair" else TEXTS
    settings = {"base": str(encoder), "epochs": 1, "batch_size": 16, "max_length": 32, "precision": "float32"}
    first = TextClassifier(**settings).fit(texts, LABELS[task])
    folder = first.save_pretrained(tmp_path / "model")
    calibration = json.loads((folder / "classifine.json").read_text("utf-8"))["calibration"]
    assert calibration is None if task == "score" else calibration["folded"]
    again = TextClassifier.from_pretrained(folder)
    if task != "score":
        assert [list(one) for one in first.predict(texts[:5])] == [list(one) for one in again.predict(texts[:5])]
    scores = first._scores(texts[:5])
    np.testing.assert_allclose(again._scores(texts[:5]), scores, atol=1e-6)
    plain(folder, texts[:5], scores, task)


def plain(folder, texts, scores, task):
    """Plain transformers gives the same scores."""
    from transformers import pipeline

    classify = pipeline("text-classification", str(folder), top_k=None)
    names = json.loads((folder / "classifine.json").read_text("utf-8"))["labels"]
    for text, expected in zip(texts, scores, strict=True):
        asked = {"text": text[0], "text_pair": text[1]} if task == "pair" else text
        found = {item["label"]: item["score"] for item in classify([asked])[0]}
        assert [found[name] for name in names] == pytest.approx(expected.tolist(), abs=1e-4)


def test_every_family_draws_a_head_of_other_labels_anew(encoder, tmp_path):
    network, tokenizer = load_base(find_base(str(encoder)), Labels.ordered(["a", "b", "c"], "str"))
    with torch.no_grad():
        for weight in output_layer(network).parameters():
            weight.fill_(1.0)
    with quiet_transformers():
        network.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    same, other = (
        load_base(find_base(str(tmp_path)), Labels.ordered(list(names), "str"))[0] for names in ("abc", "bcd")
    )
    assert (output_layer(same).weight == 1).all()
    assert not (output_layer(other).weight == 1).any() and not output_layer(other).bias.any()
    kept = same.state_dict()
    changed = [name for name, weight in other.state_dict().items() if not torch.equal(weight, kept[name])]
    assert len(changed) == 2  # the last layer alone


def tied(network):
    return network.get_output_embeddings().weight is network.get_input_embeddings().weight


def test_every_family_guesses_masks(encoder, tmp_path):
    """The loss at the masked places alone is that of plain transformers, and a base that is written has all its weights."""
    from transformers import AutoModel, AutoModelForMaskedLM

    base = find_base(str(encoder))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        masked = load_masked(base)
        columns = encode_texts(TEXTS, masked.tokenizer, 32)
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        batch = masking_collator(masked.tokenizer, 0.3)(rows)
    assert masked.new_head
    assert tied(masked.network)
    network = masked.network.eval()
    start_at_shares(network, columns["input_ids"], masked.tokenizer.all_special_ids)
    with asked_alone(network):
        found = network(**batch)["loss"]
    assert float(found.detach()) == pytest.approx(float(network(**batch).loss.detach()), abs=1e-5)
    found.backward()
    assert all(weight.grad is not None for name, weight in network.named_parameters())
    save_adapted(tmp_path, masked.network, masked.tokenizer, base, {})
    for kind in (AutoModel, AutoModelForMaskedLM):
        _, about = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert not about["missing_keys"]


def test_every_family_tells_what_was_replaced(encoder, tmp_path):
    """Every weight of it learns, the smaller network has fewer layers, and what is written is a whole encoder."""
    from transformers import AutoModel

    base = find_base(str(encoder))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, masked = load_detector(base)
        columns = encode_texts(TEXTS, masked.tokenizer, 32)
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        batch = masking_collator(masked.tokenizer, 0.3)(rows)
        share_words(network)
        assert network.generator.config.num_hidden_layers == 1
        assert network.encoder.config.num_hidden_layers == 2
        with asked_alone(network.generator):
            found = network(**batch)
    found["loss"].backward()
    assert all(weight.grad is not None for name, weight in network.named_parameters())
    assert tied(network.generator)
    save_adapted(tmp_path, network.encoder, masked.tokenizer, base, {})
    _, about = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not about["missing_keys"]
    load_base(find_base(str(tmp_path)), Labels.ordered(["a", "b"], "str"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_family_sums_up_texts(encoder, pooling, tmp_path):
    """The vectors are those of the encoder alone, whatever a batch is padded to, and the network comes back as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, tokenizer = load_base(find_base(str(encoder)), Labels.ordered(["a", "b", "c"], "str"), pooling=pooling)
        torch.nn.init.normal_(network.eval().classifier.weight)
    columns = tokenise(TEXTS[:6], tokenizer, 60)
    found = logits(TorchEngine(network), columns, pad_id(tokenizer))
    for i in range(2):
        states = network.encoder(torch.tensor([columns["input_ids"][i]])).last_hidden_state[0].detach()
        vector = states.mean(0) if pooling == "mean" else states[0]
        expected = network.classifier(vector / vector.norm()).detach().numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
    with quiet_transformers():
        network.save_pretrained(tmp_path)
        again = load_pooled(tmp_path)
    assert again.pooling == pooling
    np.testing.assert_allclose(logits(TorchEngine(again), columns, pad_id(tokenizer)), found, atol=1e-6)


@pytest.mark.parametrize("target", ["openvino", "onnx"])
def test_every_family_is_exported(encoder, target, tmp_path):
    if importlib.util.find_spec({"openvino": "openvino", "onnx": "onnxscript"}[target]) is None:
        pytest.skip("the engines' packages are an extra")
    base = find_base(str(encoder))
    with torch.random.fork_rng():
        network, tokenizer = load_base(base, Labels.ordered(["a", "b", "c"], "str"))
    columns = tokenise([*TEXTS, "a", " ".join(TEXTS)], tokenizer, 60)
    path = export_float(network.eval(), ["input_ids", "attention_mask", *list(columns)[1:]], target, tmp_path)
    expected = logits(TorchEngine(network), columns, pad_id(tokenizer))
    found = logits(open_exported(path, "float32", 3), columns, pad_id(tokenizer))
    np.testing.assert_allclose(found, expected, atol=1e-5)
