"""Every choice of what is contrasted trains: a step changes the weights, and a checkpoint brings all of it back."""

from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.build import build_objective, open_clips
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.runtime import seed_everything
from scdnet.engine.trainer import pretrain
from scdnet.engine.training import start_training
from tests.engine.runs import assert_same_state, changed, metrics_of

CPU = torch.device("cpu")
PAIRS = {
    "paths to anchor": (("temporal", "instance"), ("spatial", "instance")),
    "each with itself": (("temporal", "temporal"), ("spatial", "spatial"), ("instance", "instance")),
    "no anchor": (("temporal", "spatial"), ("spatial", "temporal")),
    "one path": (("temporal", "temporal"),),
    "moco": (("instance", "instance"),),
}
CHOICES = {
    **{name: {"scd": {"pairs": pairs}} for name, pairs in PAIRS.items()},
    "hdc": {"objective": "hdc"},
    "scd+hdc": {"objective": "scd+hdc"},
    "some levels": {"objective": "hdc", "hdc": {"levels": (2, 4), "weights": "depth"}},
    "one subtask": {"objective": "hdc", "hdc": {"subtasks": ("temporal",), "weights": "uniform"}},
    "random joints": {"data": {"views": {"spatial_mask": "random", "joint_mask": 1}}},
    "single frames": {"data": {"views": {"temporal_mask": "frames", "frame_mask": 1}}},
    "no masks": {"data": {"views": {"spatial_mask": "none", "temporal_mask": "none"}}},
    "mean, two layers": {"model": {"pooling": "mean", "layers": 2}},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_takes_a_step(small_config: Config, choice: str):
    config = changed(small_config, **CHOICES[choice])
    clips = open_clips(config, CPU)
    seed_everything(0)
    training = start_training(config, CPU)
    before = {name: value.clone() for name, value in training.model.query.named_parameters()}
    views = clips.training_views([torch.arange(4)], torch.Generator().manual_seed(0), training.model.objective.tasks)
    report = dict(zip(training.report, training.step(*next(views)).tolist(), strict=True))
    assert all(torch.tensor(list(report.values())).isfinite())
    moved = {name for name, value in training.model.query.named_parameters() if not torch.equal(value, before[name])}
    queried = {a for a, _ in training.model.objective.pairs}
    for name in training.model.query.heads:
        assert any(key.startswith(f"heads.{name}.") for key in moved) == (name in queried), name


@pytest.mark.parametrize("objective", ["hdc", "scd+hdc"])
def test_a_stopped_run_goes_on_bit_for_bit(small_config: Config, objective: str):
    whole = changed(small_config, name="whole", objective=objective)
    part = changed(whole, name="part", optim={"epochs": 1})
    path = pretrain(whole)
    pretrain(part)
    assert_same_state(path, pretrain(changed(part, optim={"epochs": 2}), resume=True))
    invariance = read_checkpoint(path).state["model"]["weights.invariance"]
    assert invariance.shape == (8,) and (invariance < 1).all()
    line = metrics_of(whole)[-1]
    assert sum(value for name, value in line.items() if name.startswith("weight/")) == pytest.approx(8, abs=1e-4)


def test_the_moco_config_has_one_head_and_one_queue(small_config: Config):
    objective = build_objective(changed(small_config, **CHOICES["moco"]))
    assert objective.projections == objective.keys == ("instance",)


CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("name", "tasks", "pairs"),
    [("ntu60_xsub", ("scd",), 4), ("ntu60_xsub_hdc", ("spatial", "temporal"), 8), ("ntu60_xsub_moco", ("scd",), 1)],
)
def test_the_shipped_configs_contrast_what_they_say(name: str, tasks: tuple[str, ...], pairs: int):
    objective = build_objective(load_config(CONFIGS / f"{name}.yaml"))
    assert (objective.tasks, len(objective.pairs)) == (tasks, pairs)
