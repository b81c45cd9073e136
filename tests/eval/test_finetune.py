import copy

import pytest
import torch

from scdnet.config import FinetuneConfig, OptimConfig
from scdnet.data.clips import Clips
from scdnet.engine.optim import layer_groups, make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.finetune import finetune, sample_labeled
from scdnet.eval.inputs import Inputs
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.heads import ClassifiedEncoder
from scdnet.results.scores import BEST_ON_TEST, Outcome

OPTIM = {"epochs": 12, "milestones": (8,), "lr": 0.05}


@pytest.fixture
def encoder(random_inputs: Inputs) -> DualPathEncoder:
    return copy.deepcopy(random_inputs.encoder)


def run(encoder: DualPathEncoder, clips: Clips, *, seed: int = 0, **changes: object) -> Outcome:
    config = FinetuneConfig(**{"batch_size": 4, "eval_every": 2, "optim": OPTIM, **changes})
    labeled = clips.split(train=True)
    return finetune(encoder, clips, labeled, config, precision="fp32", seed=seed)


def test_the_settings_are_those_of_the_method():
    config = FinetuneConfig()
    assert (config.optim.lr, config.optim.epochs, config.optim.milestones) == (0.01, 80, (50, 70))
    assert (config.optim.momentum, config.optim.weight_decay) == (0.9, 0)
    assert (config.batch_size, config.layer_decay, config.num_subsets) == (64, 1, 5)


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.2, 0.999])
def test_the_drawn_labels_are_the_same_fraction_of_each_class_and_at_least_one(fraction):
    label = torch.tensor([0] * 100 + [2] * 50 + [5] * 3)
    drawn = sample_labeled(label, fraction, seed=0)
    assert len(drawn.unique()) == len(drawn) and (drawn[1:] > drawn[:-1]).all()
    for c, size in ((0, 100), (2, 50), (5, 3)):
        assert (label[drawn] == c).sum() == max(1, round(fraction * size))


def test_another_seed_draws_other_labels_and_the_same_seed_the_same():
    label = torch.arange(200) % 4
    one, same, other = (sample_labeled(label, 0.1, seed).tolist() for seed in (0, 0, 1))
    assert one == same != other


def test_fine_tuning_changes_all_weights_and_learns_what_it_was_shown(encoder, clips):
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    outcome = run(encoder, clips)
    assert outcome.scores.shape == (8, 2) and outcome.scores.isfinite().all()
    moved = {
        name for name, value in encoder.named_parameters() if not torch.equal(value, before[name])
    }
    still = before.keys() - moved
    # A bias before a batch norm has no gradient, nor has what alpha = 0 multiplies.
    assert all("bias" in name or "relation" in name for name in still), still
    predicted = outcome.scores.argmax(dim=1)
    right = 100 * (predicted == clips.label[clips.split(train=False)]).double().mean().item()
    assert outcome.metrics["top1"] == right >= 75
    assert outcome.metrics[BEST_ON_TEST] >= right


def test_a_seed_gives_the_same_scores_and_the_test_split_changes_none(random_inputs, clips):
    optim = {**OPTIM, "epochs": 2, "milestones": (1,)}
    first, second = (
        run(
            copy.deepcopy(random_inputs.encoder),
            clips,
            seed=3,
            eval_every=eval_every,
            optim=optim,
        )
        for eval_every in (1, 2)
    )
    assert torch.equal(first.scores, second.scores)


def test_without_augmentation_the_evaluation_views_are_trained_on(encoder, clips, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(type(clips), "augmented_views", refuse)
    outcome = run(encoder, clips, augment=False, optim={**OPTIM, "epochs": 1})
    assert outcome.scores.shape == (8, 2)


def test_fine_tuning_that_diverges_is_an_error(encoder, clips):
    with pytest.raises(ScdnetError, match=r"diverged; lower finetune\.optim\.lr"):
        run(encoder, clips, augment=False, optim={"epochs": 1, "lr": 1e38})


def test_the_learning_rate_decays_layer_by_layer_from_the_head(encoder):
    model = ClassifiedEncoder(encoder, 2)
    groups = layer_groups(model, OptimConfig(weight_decay=0.3), 0.5)
    optimizer = make_optimizer(groups, OptimConfig(lr=1, weight_decay=0.3))
    make_schedule(optimizer, OptimConfig(lr=1, milestones=())).step(0)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    # From the input: norm, three units, projection, one transformer layer, head.
    expected = {
        "encoder.temporal_stem.input_norm.weight": 0.5**6,
        "encoder.spatial_stem.units.0.gcn.alpha": 0.5**5,
        "encoder.temporal_stem.units.2.gcn.alpha": 0.5**3,
        "encoder.spatial_path.project.0.weight": 0.5**2,
        "encoder.temporal_path.transformer.layers.0.linear1.weight": 0.5,
        "classifier.weight": 1,
    }
    named = dict(model.named_parameters())
    assert {name: rates[id(named[name])] for name in expected} == pytest.approx(expected)
    assert len(rates) == len(named)
    assert all(group["weight_decay"] == 0.3 for group in optimizer.param_groups)
