import pytest
import torch

from scdnet.config import FinetuneConfig, OptimConfig
from scdnet.data.clips import load_clips
from scdnet.engine.optim import layer_groups, make_optimizer, make_schedule
from scdnet.eval.features import load_encoder_or_baseline
from scdnet.eval.finetune import finetune, sample_labelled
from scdnet.models.heads import ClassifiedEncoder

CPU = torch.device("cpu")


@pytest.fixture
def config(small_config):
    optim = {"epochs": 6, "milestones": (4,), "lr": 0.05}
    return small_config.model_copy(
        update={"finetune": FinetuneConfig(batch_size=4, eval_every=2, optim=optim)}
    )


@pytest.fixture
def clips(config):
    return load_clips(config.data, "joint", CPU)


def test_the_settings_are_those_of_the_method():
    config = FinetuneConfig()
    assert (config.optim.lr, config.batch_size, config.optim.epochs, config.optim.milestones) == (
        0.01,
        64,
        80,
        (50, 70),
    )
    assert (config.optim.momentum, config.optim.weight_decay, config.layer_decay, config.num_subsets) == (
        0.9,
        0,
        1,
        5,
    )


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.2, 0.999])
def test_the_drawn_labels_are_the_same_share_of_each_class_and_at_least_one(fraction):
    label = torch.tensor([0] * 100 + [2] * 50 + [5] * 3)
    drawn = sample_labelled(label, fraction, seed=0)
    assert len(drawn.unique()) == len(drawn) and (drawn[1:] > drawn[:-1]).all()
    for c, size in ((0, 100), (2, 50), (5, 3)):
        assert (label[drawn] == c).sum() == max(1, round(fraction * size))


def test_another_seed_draws_other_labels_and_the_same_seed_the_same():
    label = torch.arange(200) % 4
    one, same, other = (sample_labelled(label, 0.1, seed).tolist() for seed in (0, 0, 1))
    assert one == same != other


def test_fine_tuning_changes_all_weights_and_learns_what_it_was_shown(config, clips):
    encoder, _ = load_encoder_or_baseline("none", config)
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    result = finetune(encoder, clips, clips.split(train=True), config, seed=0)
    assert result.scores.shape == (8, 2) and result.scores.isfinite().all()
    moved = {
        name for name, value in encoder.named_parameters() if not torch.equal(value, before[name])
    }
    still = before.keys() - moved
    # a bias before a batch norm has no gradient, nor what alpha = 0 multiplies
    assert all("bias" in name or "relation" in name for name in still), still
    right = (
        100
        * (result.scores.argmax(dim=1) == clips.label[clips.split(train=False)])
        .double()
        .mean()
        .item()
    )
    assert right >= 75 and result.best_top1 >= right


def test_a_seed_gives_the_same_scores_and_the_test_split_changes_none(config, clips):
    scores = []
    for eval_every in (2, 6):
        encoder, _ = load_encoder_or_baseline("none", config)
        changed = config.model_copy(
            update={"finetune": config.finetune.model_copy(update={"eval_every": eval_every})}
        )
        scores.append(finetune(encoder, clips, clips.split(train=True), changed, seed=3).scores)
    assert torch.equal(*scores)


def test_without_augmentation_the_evaluation_views_are_trained_on(config, clips, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(type(clips), "augmented_views", refuse)
    settings = config.finetune.model_copy(update={"augment": False})
    encoder, _ = load_encoder_or_baseline("none", config)
    result = finetune(
        encoder,
        clips,
        clips.split(train=True),
        config.model_copy(update={"finetune": settings}),
        seed=0,
    )
    assert result.scores.shape == (8, 2)


def test_the_learning_rate_decays_layer_by_layer_from_the_head(config):
    encoder, _ = load_encoder_or_baseline("none", config)
    model = ClassifiedEncoder(encoder, 2)
    groups = layer_groups(model, OptimConfig(weight_decay=0.3), 0.5)
    optimizer = make_optimizer(groups, OptimConfig(lr=1, weight_decay=0.3))
    make_schedule(optimizer, OptimConfig(lr=1, milestones=())).step(0)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    expected = {  # norm, three units, projection, one transformer layer, head
        "encoder.temporal_stem.input_norm.weight": 0.5**6,
        "encoder.spatial_stem.units.0.gcn.alpha": 0.5**5,
        "encoder.temporal_stem.units.2.gcn.alpha": 0.5**3,
        "encoder.spatial_path.project.0.weight": 0.5**2,
        "encoder.temporal_path.transformer.layers.0.linear1.weight": 0.5,
        "classifier.weight": 1,
    }
    named = dict(model.named_parameters())
    assert {name: rates[id(named[name])] for name in expected} == pytest.approx(expected)
    assert len(rates) == len(named) and all(
        group["weight_decay"] == 0.3 for group in optimizer.param_groups
    )
