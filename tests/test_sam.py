"""Sharpness-aware minimisation: the update by hand, exact weights afterwards, and the Trainer's own business around it."""

import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from classifine.model.network import quiet_transformers
from classifine.train.judged import JudgedTrainer
from classifine.train.lesson import Lesson
from classifine.train.sam import ETA, Sharpness, descend

ROWS = [([1.0, 2.0], 1.0), ([-1.0, 0.5], -2.0), ([0.5, -1.5], 0.5), ([2.0, 1.0], 3.0)]


class Line(nn.Module):
    """A linear model with a squared loss, the gradient of which fits on a line."""

    base_model_prefix = "none"

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3, -0.2]))
        self.bias = nn.Parameter(torch.tensor([0.1]))

    def forward(self, x, labels):
        loss = ((x @ self.weight + self.bias - labels) ** 2).mean()
        return {"loss": loss, "logits": x}


def collate(rows):
    return {"x": torch.tensor([row["x"] for row in rows]), "labels": torch.tensor([row["labels"] for row in rows])}


def trained(folder, sharpness, batch, accumulate, steps=1, rate=0.1, resume=None, **more):
    network = Line()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.5)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    settings = {
        "output_dir": str(folder), "per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate,
        "max_steps": steps, "use_cpu": True, "report_to": "none", "disable_tqdm": True, "max_grad_norm": 0.0,
        "save_strategy": "no", "seed": 0, **more,
    }  # fmt: skip
    with quiet_transformers():
        trainer = JudgedTrainer(
            model=network, args=TrainingArguments(**settings), train_dataset=[{"x": x, "labels": y} for x, y in ROWS],
            data_collator=collate, optimizers=(optimizer, schedule), lesson=Lesson(lambda network: {}, None, 0.0, ()), head_rate=1.0,
            sharpness=sharpness,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resume)
    return torch.cat([network.weight.detach(), network.bias.detach()]), trainer


def gradient(point, rows=ROWS):
    """By hand: of the mean of (x w + b - y)^2."""
    found = torch.zeros(3)
    for x, y in rows:
        off = x[0] * point[0] + x[1] * point[1] + point[2] - y
        found += 2 * off * torch.tensor([x[0], x[1], 1.0]) / len(rows)
    return found


START = torch.tensor([0.3, -0.2, 0.1])


@pytest.mark.parametrize(("batch", "accumulate"), [(4, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_update_is_the_one_by_hand_however_it_is_accumulated(tmp_path, batch, accumulate, adaptive):
    here = gradient(START)
    alone, _ = trained(tmp_path / "alone", None, batch, accumulate)
    if not torch.allclose(alone, START - 0.1 * here, atol=1e-5):
        pytest.skip("this transformers divides accumulated gradients twice, also without us (5.3 does)")
    # Kwon et al.: T = |w| + eta for weights, 1 for biases; up by rho T^2 g / |T g|.
    scale = torch.cat([START[:2].abs() + ETA, torch.ones(1)]) if adaptive else torch.ones(3)
    worst = START + 0.2 * scale**2 * here / (scale * here).norm()
    found, _ = trained(tmp_path, Sharpness(0.2, adaptive), batch, accumulate)
    torch.testing.assert_close(found, START - 0.1 * gradient(worst))
    assert not torch.allclose(found, START - 0.1 * here, atol=1e-3)


def test_the_gradient_that_is_clipped_is_the_one_of_the_worst_point(tmp_path):
    here = gradient(START)
    there = gradient(START + 0.2 * here / here.norm())
    found, _ = trained(tmp_path, Sharpness(0.2), 4, 1, max_grad_norm=0.5)
    torch.testing.assert_close(found, START - 0.1 * 0.5 * there / there.norm(), atol=1e-5, rtol=1e-5)


def test_without_it_the_step_is_the_ordinary_one(tmp_path):
    torch.testing.assert_close(trained(tmp_path, None, 4, 1)[0], START - 0.1 * gradient(START))


@pytest.mark.parametrize("more", [{}, {"bf16": True}])
def test_a_rate_of_nothing_leaves_every_bit_in_place(tmp_path, more):
    assert torch.equal(trained(tmp_path, Sharpness(0.3), 2, 2, steps=3, rate=0.0, **more)[0], START)


def test_the_loss_that_is_told_is_that_of_the_weights_as_they_stand(tmp_path):
    told = {}
    for name, sharpness in (("plain", None), ("sam", Sharpness(0.5))):
        _, trainer = trained(tmp_path, sharpness, 2, 2, rate=0.0, logging_steps=1)
        told[name] = trainer.state.log_history[0]["loss"]
    assert told["sam"] == pytest.approx(told["plain"])


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    sharpness = Sharpness(0.2, adaptive=True)
    whole, _ = trained(tmp_path / "a", sharpness, 2, 1, steps=4, save_strategy="steps", save_steps=2)
    resumed, trainer = trained(tmp_path / "b", sharpness, 2, 1, steps=4, resume=str(tmp_path / "a" / "checkpoint-2"))
    assert trainer.state.global_step == 4
    torch.testing.assert_close(resumed, whole)


def test_climb_and_descend():
    network = Line()
    network.weight.grad, network.bias.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    before = Sharpness(0.5).climb(network)
    torch.testing.assert_close(network.weight.detach(), torch.tensor([0.3 + 0.5 * 3 / 5, -0.2]))
    torch.testing.assert_close(network.bias.detach(), torch.tensor([0.1 + 0.5 * 4 / 5]))
    assert network.weight.grad is None
    descend(before)
    assert torch.equal(network.weight.detach(), START[:2])


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_no_direction_no_way_up(value):
    network = Line()
    network.weight.grad = torch.full((2,), value)
    Sharpness(0.5).climb(network)
    assert torch.equal(network.weight.detach(), START[:2])


@pytest.mark.parametrize(("share", "rows"), [(1.0, [0, 1, 2, 3, 4]), (0.5, [0, 2, 4]), (0.4, [0, 4]), (0.01, [0])])
def test_a_part_of_the_rows_shows_the_way(share, rows):
    batch = {"x": torch.arange(10.0).view(5, 2), "labels": torch.arange(5), "n": 3}
    part = Sharpness(0.1, share=share).part(batch)
    assert part["labels"].tolist() == rows
    assert part["x"][:, 0].tolist() == [2.0 * row for row in rows]
    assert part["n"] == 3
