"""Every choice of an objective trains: a step changes weights, a checkpoint restores it all."""

import shutil
from pathlib import Path

import pytest
import torch

from scdnet import load_encoder
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.build import build_model, build_objective, open_clips
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.device import seed_everything
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.start import start_training
from scdnet.engine.train.state import Training
from scdnet.errors import ScdnetError
from scdnet.eval.knn import score_1nn
from scdnet.models.objective import Objective
from scdnet.skeletons import NTU_25
from tests.engine.exports import export
from tests.engine.runs import assert_same_state, changed, metrics_of, synthetic_inputs

CPU = torch.device("cpu")
PAIRS = {
    "paths to anchor": (("temporal", "instance"), ("spatial", "instance")),
    "each with itself": (
        ("temporal", "temporal"),
        ("spatial", "spatial"),
        ("instance", "instance"),
    ),
    "no anchor": (("temporal", "spatial"), ("spatial", "temporal")),
    "paths with themselves, no anchor": (("temporal", "temporal"), ("spatial", "spatial")),
    "one path": (("temporal", "temporal"),),
    "moco": (("instance", "instance"),),
}
CHOICES = {
    **{name: {"scd": {"pairs": pairs}} for name, pairs in PAIRS.items()},
    "hdc": {"objective": "hdc"},
    "scd+hdc": {"objective": "scd+hdc"},
    "latent": {"objective": "latent"},
    "scd+latent": {"objective": "scd+latent"},
    "hdc+latent": {"objective": "hdc+latent", "latent": {"hide": "motion"}},
    "scd+hdc+latent": {"objective": "scd+hdc+latent", "latent": {"target_norm": "tokens"}},
    "moco+latent": {
        "objective": "scd+latent",
        "scd": {"pairs": (("instance", "instance"),)},
        "latent": {"loss": "cosine", "predictor_layers": 2},
    },
    "latent of one subtask": {
        "objective": "hdc+latent",
        "hdc": {"subtasks": ("temporal",)},
        "latent": {"hide_in": "tokens", "target_norm": "none"},
    },
    "neighbors": {"neighbours": {"k": 3}},
    "neighbors of hdc and hidden tokens": {"objective": "hdc+latent", "neighbours": {"k": 3}},
    "some levels": {"objective": "hdc", "hdc": {"levels": (2, 4), "loss_weights": "depth"}},
    "one subtask": {
        "objective": "hdc",
        "hdc": {"subtasks": ("temporal",), "loss_weights": "uniform"},
    },
    "random joints": {"data": {"views": {"spatial_mask": "random", "joint_mask_prob": 1}}},
    "single frames": {"data": {"views": {"temporal_mask": "frames", "frame_mask_prob": 1}}},
    "no masks": {"data": {"views": {"spatial_mask": "none", "temporal_mask": "none"}}},
    "mean, two layers": {"model": {"pooling": "mean", "num_layers": 2}},
}


def objective_of(config: Config) -> Objective:
    return build_objective(config)


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_takes_a_step(small_config: Config, choice: str):
    config = changed(small_config, **CHOICES[choice])
    clips = open_clips(config.data, config.stream, CPU)
    seed_everything(0)
    training = start_training(config, NTU_25, CPU)
    before = {name: value.clone() for name, value in training.model.query.named_parameters()}
    objective = training.model.objective
    views = clips.training_views(
        [torch.arange(4)],
        torch.Generator().manual_seed(0),
        objective.tasks,
        latent=objective.hiding,
    )
    report = dict(zip(training.metric_names, training.step(*next(views)).tolist(), strict=True))
    assert all(torch.tensor(list(report.values())).isfinite())
    moved = {
        name
        for name, value in training.model.query.named_parameters()
        if not torch.equal(value, before[name])
    }
    queried = {a for a, _ in objective.pairs}
    for name in training.model.query.heads:
        assert any(key.startswith(f"heads.{name}.") for key in moved) == (name in queried), name


def test_the_neighbors_of_the_config_reach_the_loss(small_config: Config):
    losses = []
    for k in (0, 3):
        seed_everything(0)
        training = start_training(changed(small_config, neighbours={"k": k}), NTU_25, CPU)
        losses.append(training.step(*synthetic_inputs(small_config))[-1].item())
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"neighbours": {"k": 99}}, "neighbours.k: expected at most the .* keys of a queue"),
        (
            {"objective": "latent", "latent": {"joint_fraction": 0.01}},
            "latent.joint_fraction: expected to hide between 1 and 24 of 25 joints, found 0.01, "
            "which is 0 of them",
        ),
        (
            {"objective": "scd+latent", "latent": {"frame_fraction": 0.99}},
            "latent.frame_fraction: expected to hide between 1 and 15 of 16 frames, found 0.99, "
            "which is 16 of them",
        ),
    ],
)
def test_what_cannot_be_hidden_or_found_is_refused(
    small_config: Config, values: dict, message: str
):
    with pytest.raises(ScdnetError, match=message):
        start_training(changed(small_config, **values), NTU_25, CPU)


def test_an_encoder_without_training_needs_no_queue_of_neighbors(small_config: Config):
    config = changed(small_config, neighbours={"k": 99}, model={"queue_size": "auto"})
    build_model(config, objective_of(config), skeleton=NTU_25)


def resumed(whole: Config, path: Path) -> Path:
    """Resume a run from the checkpoint of its first epoch; return its last checkpoint."""
    part = changed(whole, runs_dir=whole.runs_dir / "part")
    part.run_dir.mkdir(parents=True)
    shutil.copy(path.with_name("epoch_0001.pt"), part.run_dir / "last.pt")
    return pretrain(part, resume=True)


@pytest.mark.parametrize("objective", ["latent", "scd+latent"])
def test_a_resumed_run_with_hidden_tokens_is_bit_identical(small_config: Config, objective: str):
    whole = changed(
        small_config, name="whole", objective=objective, save_every=1, latent={"hide": "motion"}
    )
    path = pretrain(whole, score=score_1nn)
    assert_same_state(path, resumed(whole, path))
    model = read_checkpoint(path).state["model"]
    names = {name.split(".")[1] for name in model if name.startswith("predictors.")}
    assert names == {"temporal", "spatial"}
    assert "predictors.spatial.mask_token" in model
    line = metrics_of(whole)[-1]
    for path_name in names:
        for measure in ("latent_loss", "latent_mean_loss", "latent_spread"):
            assert 0 < line[f"{measure}/{path_name}"] < 2


def test_an_encoder_trained_on_hidden_tokens_is_loaded_and_exported_like_any_other(
    small_config: Config, tmp_path: Path
):
    path = pretrain(changed(small_config, objective="latent"))
    encoder = load_encoder(path)
    plain = load_encoder(pretrain(changed(small_config, name="plain")))
    assert encoder.state_dict().keys() == plain.state_dict().keys()
    exported = load_encoder(export(tmp_path / "exported", encoder))
    clips = torch.randn(3, 3, 16, 25, 2)
    for own, expected in zip(exported(clips), encoder(clips), strict=True):
        assert own.isfinite().all() and torch.equal(own, expected)
    for path_name, feature in encoder(clips)._asdict().items():
        levels = exported.level_features(clips, path_name)
        assert len(levels) == 4 and torch.allclose(levels[-1], feature, atol=1e-6)


def test_a_resumed_run_of_both_objectives_is_bit_identical(small_config: Config):
    whole = changed(small_config, name="whole", objective="scd+hdc", save_every=1)
    path = pretrain(whole)
    assert_same_state(path, resumed(whole, path))
    invariance = read_checkpoint(path).state["model"]["loss_weights.invariance"]
    assert invariance.shape == (8,)
    assert (invariance < 1).all()
    line = metrics_of(whole)[-1]
    weights = [value for name, value in line.items() if name.startswith("loss_weight/")]
    assert sum(weights) == pytest.approx(8, abs=1e-4)


PLAIN = {
    "rotate_prob": 0,
    "flip_prob": 0,
    "shear_prob": 0,
    "joint_mask_prob": 0,
    "frame_mask_prob": 0,
    "min_crop_fraction": 1,
}


@pytest.mark.parametrize(("path", "other"), [("temporal", "spatial"), ("spatial", "temporal")])
def test_hdc_of_one_level_and_subtask_on_plain_views_trains_as_plain_moco(
    small_config: Config, path: str, other: str
):
    """In float64, where rounding stays small; without dropout, as MoCo's other path draws too."""
    config = changed(
        small_config,
        data={"views": PLAIN},
        model={"dropout": 0, "queue_size": 6},
        optim={"lr": 0.1},
    )
    clips = open_clips(config.data, config.stream, CPU)
    batches = torch.arange(8).split(4) * 2
    one_level = {"subtasks": (path,), "levels": (4,), "loss_weights": "invariance"}
    hdc = start_training(changed(config, objective="hdc", hdc=one_level), NTU_25, CPU)
    moco = start_training(changed(config, scd={"pairs": ((path, path),)}), NTU_25, CPU)
    before = named_as_moco(hdc)
    moco.model.load_state_dict(before)
    # The average is not 1, yet the weight of a single level is.
    hdc.model.loss_weights.invariance.fill_(0.3)
    losses = []
    for training in (hdc, moco):
        training.model.double()
        generator = torch.Generator().manual_seed(0)
        views = clips.training_views(batches, generator, training.model.objective.tasks)
        own = [training.step(*(x.double() for x in pair))[-1] for pair in views]
        losses.append(torch.stack(own))
    assert losses[0].tolist() == pytest.approx(losses[1].tolist(), rel=1e-9)
    assert losses[0].unique().numel() == 4
    ours = named_as_moco(hdc)
    theirs = moco.model.state_dict()
    for name in ours:
        # MoCo updates the statistics of the other path too, in vain.
        if f"{other}_stem" not in name or "weight" in name:
            assert torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-9), name
    moved = {
        name
        for name in ours
        if not torch.allclose(ours[name], before[name].to(ours[name].dtype), atol=1e-5)
    }
    assert {
        f"query.heads.{path}.0.weight",
        f"query.encoder.{path}_stem.units.0.gcn.norm.weight",
        f"queues.{path}.keys",
    } < moved


def named_as_moco(hdc: Training) -> dict[str, torch.Tensor]:
    """Return a copy of the state of HDC at level 4, by the names of plain MoCo."""
    state = {
        name.replace("_4.", "."): value.clone() for name, value in hdc.model.state_dict().items()
    }
    return {name: value for name, value in state.items() if name != "loss_weights.invariance"}


def test_the_moco_config_has_one_head_and_one_queue(small_config: Config):
    objective = objective_of(changed(small_config, **CHOICES["moco"]))
    assert objective.projections == objective.keys == ("instance",)


CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize(
    ("name", "tasks", "pairs"),
    [
        ("ntu60_xsub", ("scd",), 4),
        ("ntu60_xsub_hdc", ("spatial", "temporal"), 8),
        ("ntu60_xsub_scd_hdc", ("scd", "spatial", "temporal"), 12),
        ("ntu60_xsub_moco", ("scd",), 1),
    ],
)
def test_the_shipped_configs_contrast_what_they_state(
    name: str, tasks: tuple[str, ...], pairs: int
):
    objective = objective_of(load_config(CONFIGS / f"{name}.yaml"))
    assert (objective.tasks, len(objective.pairs)) == (tasks, pairs)
