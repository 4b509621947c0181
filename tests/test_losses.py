"""What a wrong answer costs: each loss by hand, what a guess costs, and how the settings come together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import fitted_on, made_up, write_csv
from test_trainer import fresh, recipe_for
from torch.nn import functional

from classifine.config import Model, Train
from classifine.errors import ConfigError
from classifine.model.folder import load
from classifine.train.documents import collator
from classifine.train.judged import Consistency, JudgedTrainer
from classifine.train.lesson import Lesson, labelled, targets_of, validator
from classifine.train.losses import (
    Cost,
    balanced,
    cost_of,
    disagreement,
    how_often,
    shift_of,
    softened,
    twice,
    weights_of,
)
from classifine.train.ready import uneven
from classifine.train.recipe import training_arguments
from classifine.train.wishes import check_cost

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
OF_ONE = torch.tensor([0, 2, 1, 0])
OF_SEVERAL = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]])


def test_without_wishes_it_is_the_networks_own_loss():
    assert torch.isclose(Cost("single")(LOGITS, OF_ONE), functional.cross_entropy(LOGITS, OF_ONE))
    own = functional.binary_cross_entropy_with_logits(LOGITS, OF_SEVERAL)
    assert torch.isclose(Cost("multi")(LOGITS, OF_SEVERAL), own)
    assert cost_of(recipe_for([0] * 100), OF_ONE.numpy(), 3) is None


def test_weights_are_those_of_torch_and_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.array([0] * 8 + [1] * 3 + [2])
    weights = balanced(targets, 3)
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=targets))
    assert softened(weights) == pytest.approx(np.sqrt(weights))
    found = Cost("single", weights)(LOGITS, OF_ONE)
    expected = functional.cross_entropy(LOGITS, OF_ONE, weight=torch.tensor(weights), reduction="none").mean()
    assert torch.isclose(found, expected)
    several = np.array([[1, 0], [0, 0], [0, 1], [0, 1]])
    assert balanced(several, 2) == (3.0, 1.0)
    assert balanced(np.array([[0, 1], [0, 1]]), 2) == (1.0, 0.5)  # no label weighs without end, or nothing


def test_two_readings_cost_as_much_as_they_differ():
    from scipy.special import expit, rel_entr, softmax

    one, other = LOGITS.numpy().astype(float), LOGITS.numpy()[::-1].astype(float)
    both = torch.from_numpy(np.concatenate([one, other]))
    p, q = softmax(one, axis=1), softmax(other, axis=1)
    apart = (rel_entr(p, q) + rel_entr(q, p)).sum(axis=1).mean() / 2
    assert disagreement(both, "single").item() == pytest.approx(apart, rel=1e-5)
    p, q = expit(one), expit(other)
    apart = (rel_entr(p, q) + rel_entr(q, p) + rel_entr(1 - p, 1 - q) + rel_entr(1 - q, 1 - p)).mean() / 2
    assert disagreement(both, "multi").item() == pytest.approx(apart, rel=1e-5)
    assert disagreement(both[:, :1], "score").item() == pytest.approx(((one - other)[:, 0] ** 2).mean(), rel=1e-5)
    assert twice({"labels": OF_ONE})["labels"].tolist() == [*OF_ONE.tolist(), *OF_ONE.tolist()]


def test_readings_differ_by_dropout_alone_and_cost_their_weight(base, encoded, tmp_path):
    rows = encoded
    found = {}
    for weight in (0.0, 1.0, 3.0):
        network = fresh(base)
        recipe = recipe_for(rows)
        trainer = JudgedTrainer(
            model=network, args=training_arguments(recipe, str(tmp_path)), train_dataset=rows, eval_dataset=rows,
            data_collator=collator(0), lesson=Lesson(lambda network: {}, None, 0.0, ()), head_rate=1.0,
            consistency=Consistency(weight, "single") if weight else None,
        )  # fmt: skip
        batch = collator(0)([rows[i] for i in range(8)])
        for train in (False, True):
            torch.manual_seed(7)
            found[weight, train] = trainer.compute_loss(network.train(train), batch).item()
    assert found[1.0, False] == found[3.0, False] == pytest.approx(found[0.0, False], rel=1e-5)
    torch.manual_seed(7)
    with torch.no_grad():
        both = network.train()(**{name: values for name, values in twice(batch).items() if name != "labels"}).logits
    # The mean over both readings, not the loss of one.
    plain, apart = torch.nn.functional.cross_entropy(both, twice(batch)["labels"]), disagreement(both, "single")
    assert apart > 1e-5
    for weight in (1.0, 3.0):
        assert found[weight, True] == pytest.approx(float(plain + weight * apart), rel=1e-5)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_a_batch_in_parts_costs_what_it_does_at_once(task):
    cost = Cost(task, (3.0, 0.5, 0.2), focus=1.0, smoothing=0.1)
    targets = OF_ONE if task == "single" else OF_SEVERAL
    parts = [cost(LOGITS[i : i + 1], targets[i : i + 1]) for i in range(4)]
    assert torch.isclose(torch.stack(parts).mean(), cost(LOGITS, targets))
    assert not torch.isclose(torch.stack(parts).mean(), Cost(task, (), 1.0, 0.1)(LOGITS, targets))


@pytest.mark.parametrize("how", ["balanced", "sqrt"])
def test_the_weights_of_rows_are_one_on_average_and_every_label_has_one(how):
    targets = np.array([0] * 8 + [1] * 3)
    weights = weights_of(recipe_for([0] * 11, class_weights=how, correct_prior=True), targets, 3)
    assert len(weights) == 3
    assert np.mean(np.array(weights)[targets]) == pytest.approx(1)
    assert weights[1] > weights[0]


def test_focal_loss_by_hand():
    shares = LOGITS.softmax(-1)[range(4), OF_ONE]
    expected = ((1 - shares) ** 2 * -shares.log()).mean()
    assert torch.isclose(Cost("single", focus=2)(LOGITS, OF_ONE), expected)
    given = torch.where(OF_SEVERAL > 0.5, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    expected = ((1 - given) ** 2 * -given.log()).mean()
    assert torch.isclose(Cost("multi", focus=2)(LOGITS, OF_SEVERAL), expected)


def test_smoothing_by_hand():
    soft = functional.one_hot(OF_ONE, 3) * 0.9 + 0.1 / 3
    assert torch.isclose(Cost("single", smoothing=0.1)(LOGITS, OF_ONE), -(soft * LOGITS.log_softmax(-1)).sum(-1).mean())
    soft = OF_SEVERAL * 0.9 + 0.05
    own = functional.binary_cross_entropy_with_logits(LOGITS, soft)
    assert torch.isclose(Cost("multi", smoothing=0.1)(LOGITS, OF_SEVERAL), own)


@pytest.mark.parametrize("more", [{}, {"focus": 2.0}, {"smoothing": 0.3}], ids=str)
@pytest.mark.parametrize("task", ["single", "multi"])
def test_no_constant_answer_costs_less_than_the_guess(task, more):
    targets = (
        np.array([0] * 12 + [1] * 3 + [2]) if task == "single" else np.array([[1, 0]] * 9 + [[0, 1]] * 2 + [[0, 0]])
    )
    cost = Cost(task, (1.0, 3.0, 0.5) if task == "single" else balanced(targets, 3), **more)
    guess = cost.guess(targets)
    draw = np.random.default_rng(0)
    for _ in range(500):
        same = np.tile(draw.normal(0, 2, 3 if task == "single" else 2), (len(targets), 1))
        assert float(cost(torch.from_numpy(same), torch.from_numpy(targets))) >= guess - 1e-5


def test_weights_make_a_label_likelier_by_as_much_as_is_shifted_back():
    # Of rows that tell nothing apart a network learns the weighed shares; shifted they are those of the data.
    targets = np.array([0] * 8 + [1] * 2)
    weights = balanced(targets, 2)
    learned = np.log(np.bincount(targets) * np.array(weights))
    shares = np.exp(learned + shift_of(weights))
    assert shares / shares.sum() == pytest.approx([0.8, 0.2])


def rarely_praised():
    rows = made_up(160, seed=3)
    rare = [row for row in rows if row[1] == "praise"][:8]
    return [row for row in rows if row[1] != "praise"] + rare


@pytest.mark.parametrize(
    ("how", "more"), [("class_weights", {"focal": 1.0, "label_smoothing": 0.05}), ("sampling", {})]
)
def test_rare_labels_are_made_up_for_and_the_prior_comes_back(tmp_path, base, how, more):
    source = write_csv(tmp_path / "uneven.csv", rarely_praised())
    plain = {"epochs": 3, how: "balanced", "averaging": False, **more}
    networks = []
    for name, prior in (("evened", {}), ("corrected", {"correct_prior": True})):
        fitted_on(tmp_path / name, source, base, **plain, **prior)
        saved = load(tmp_path / name)
        assert saved.record["recipe"][how] == "balanced"
        networks.append((saved.network.classifier, saved.record["calibration"]["temperature"]))
    (evened, warm), (corrected, cool) = networks
    assert torch.allclose(evened.weight * warm, corrected.weight * cool, atol=1e-5)
    shift = (corrected.bias * cool - evened.bias * warm).detach().numpy()
    rare = saved.labels.names.index("praise")
    assert shift[rare] == min(shift) < 0 < max(shift)


def test_a_lesson_with_sampling_costs_on_average_what_weights_do(base, encoded):
    targets = targets_of(encoded)
    recipe = recipe_for(encoded, sampling="sqrt")
    lesson = labelled(encoded, encoded, 0, recipe, 3)
    assert lesson.loss is None  # the network's own: rows come more often, and weigh no more
    assert lesson.often == pytest.approx(
        np.array(weights_of(replace(recipe, class_weights="sqrt"), targets, 3))[targets]
    )
    assert lesson.often.mean() == pytest.approx(1)
    same = Cost("single", how_often(recipe, targets, 3)).guess(targets)
    assert lesson.guess == pytest.approx(same)
    both = labelled(encoded, encoded, 0, recipe_for(encoded, sampling="sqrt", focal=2.0), 3)
    assert both.loss is not None
    assert both.guess == pytest.approx(Cost("single", how_often(recipe, targets, 3), 2.0).guess(targets))


@pytest.mark.parametrize(
    ("settings", "task", "says"),
    [
        ({"sampling": "sqrt"}, "score", r"--sampling is about labels"),
        ({"sampling": "sqrt"}, "multi", r"Use --class-weights balanced"),
        ({"sampling": "sqrt", "class_weights": "sqrt"}, "single", r"Use one of them"),
        ({"focal": 2.0, "class_weights": "sqrt"}, "score", r"--class-weights, --focal is about labels"),
        ({"correct_prior": True}, "single", r"Add --class-weights or --sampling, or drop it"),
    ],
)
def test_wishes_that_cannot_be_met(settings, task, says):
    with pytest.raises(ConfigError, match=says):
        check_cost(Train(**settings), task)


def test_methods_that_have_a_loss_of_their_own():
    from classifine.train.method import Labelled, choose_method

    few = Labelled(60, 3, "single", False, True)
    with pytest.raises(ConfigError, match=r"a loss of its own .* so --focal cannot be"):
        choose_method(Train(method="contrastive", focal=1.0), Model(), few)
    with pytest.raises(ConfigError, match="--class-weights cannot be"):
        choose_method(Train(method="probe", class_weights="balanced"), Model(), few)
    for method in ("probe", "contrastive"):
        with pytest.raises(ConfigError, match="--r-drop cannot be"):
            choose_method(Train(method=method, r_drop=1.0), Model(), few)
        with pytest.raises(ConfigError, match="--sampling cannot be"):
            choose_method(Train(method=method, sampling="balanced"), Model(), few)


def test_the_recipe_says_so():
    words = "\n".join(recipe_for([0] * 90, class_weights="sqrt", focal=2.0, label_smoothing=0.1).lines())
    assert "sqrt class weights (--class-weights), focal loss, gamma 2 (--focal), smoothed labels, 0.1" in words
    words = "\n".join(recipe_for([0] * 90, sampling="balanced").lines())
    assert "balanced sampling of labels (--sampling)" in words
    words = "\n".join(recipe_for([0] * 90, r_drop=0.5).lines())
    assert "each row read twice, the difference of both answers times 0.5 (--r-drop)" in words


def test_uneven_labels_are_a_hint():
    assert uneven(["a"] * 30 + ["b"] * 3).startswith("'a' has 30 rows, 'b' 3: ")
    assert (
        uneven(["a"] * 29 + ["b"] * 3) == uneven([("a",)] * 30 + [("b",)]) == uneven([None] * 3) == uneven([0.5]) == ""
    )


def test_an_epoch_is_judged_with_the_prior_that_the_scores_will_have(base, encoded):
    network = fresh(base)
    plain, shifted = (
        validator(encoded, 0, "single", "float32", shift)(network) for shift in (None, np.array([99, 0, 0]))
    )
    assert shifted["predicted_classes"] == 1
    assert shifted["loss"] > plain["loss"] + 1
