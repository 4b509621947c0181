"""The last layer answers for the first token alone: the same logits and gradients, from less work."""

import pytest
import torch
from test_adapters import family
from test_encoders import FAMILIES
from test_trainer import fresh, recipe_for

from classifine.infer.torch_engine import run_torch
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.first_token import first_token_alone
from classifine.model.network import load_base
from classifine.train.trainer import train

NARROWED = {"Bert", "Camembert", "Electra", "Roberta", "XLMRoberta"}


def padded(name):
    """(a small network, a batch whose second row is shorter than the others)."""
    network, batch = family(name)
    batch["attention_mask"][1, 7:] = 0
    return network, batch


def widths(network):
    """How many tokens the last layer's output reads, once for each call: a list that fills up."""
    seen = []
    network.base_model.encoder.layer[-1].output.register_forward_pre_hook(
        lambda module, given: seen.append(given[0].shape[1])
    )
    return seen


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", sorted(NARROWED))
def test_logits_and_gradients_stay_and_the_work_does_not(name, attention):
    network, batch = padded(name)
    network.set_attn_implementation(attention)
    seen, labels, found = widths(network), torch.tensor([0, 1, 2, 0]), []
    for alone in (False, True):
        network.zero_grad()
        if alone:
            with first_token_alone(network):
                answer = network(**batch, labels=labels)
                answer.loss.backward()
        else:
            answer = network(**batch, labels=labels)
            answer.loss.backward()
        found.append((answer.logits.detach(), {key: weight.grad for key, weight in network.named_parameters()}))
    assert seen == [12, 1]
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-6, rtol=1e-5)
    for key, expected in found[0][1].items():
        # A pooler that nothing reads has no gradient on either side.
        if expected is None:
            assert found[1][1][key] is None
        else:
            torch.testing.assert_close(found[1][1][key], expected, atol=1e-6, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - NARROWED))
def test_other_families_are_left_alone(name):
    network, batch = padded(name)
    kinds = [type(module) for module in network.modules()]
    with first_token_alone(network):
        assert [type(module) for module in network.modules()] == kinds
        network(**batch)


def test_what_reads_every_token_is_left_alone(base):
    pooled, _ = load_base(find_base(str(base)), Labels.ordered(["a", "b"], "str"), pooling="mean")
    for network in (pooled, pooled.encoder):
        with first_token_alone(network):
            assert not any(hasattr(module, "first_token_alone") for module in network.modules())


def test_a_decoder_is_left_alone():
    network, batch = padded("Bert")
    network.config.is_decoder = True
    seen = widths(network)
    with first_token_alone(network):
        network(**batch)
    assert seen == [12]


def test_masks_of_another_shape_go_the_whole_way():
    network, _ = padded("Bert")
    attention, states = network.base_model.encoder.layer[-1].attention, torch.zeros(3, 5, 16)
    with first_token_alone(network):
        assert attention(states, torch.zeros(5, 5))[0].shape == (3, 5, 16)
        assert attention(states, None)[0].shape == (3, 1, 16)


def test_it_ends_as_it_began_after_an_error_too_and_inside_itself():
    network, batch = padded("Bert")
    kind, seen = type(network.base_model.encoder.layer[-1].attention), widths(network)
    with first_token_alone(network):
        with first_token_alone(network):
            network(**batch)
        network(**batch)
    with pytest.raises(ZeroDivisionError), first_token_alone(network):
        raise ZeroDivisionError
    assert type(network.base_model.encoder.layer[-1].attention) is kind
    network(**batch)
    assert seen == [1, 1, 12]


def test_prediction_goes_that_way():
    network, batch = padded("Roberta")
    seen = widths(network)
    arrays = {name: values.numpy() for name, values in batch.items()}
    run_torch(network, arrays, "float32", lambda answer, mask: answer.logits)
    assert seen == [1]


def test_training_and_its_validation_go_that_way(base, halves, tmp_path):
    network = fresh(base)
    seen = widths(network)
    train(network, *halves, 0, recipe_for(halves[0]), str(tmp_path), lambda line: None)
    assert set(seen) == {1}
