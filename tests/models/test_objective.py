"""Objectives: their pairs, their projections and the weights of their losses."""

import pytest
import torch

from scdnet.losses import contrast_losses, info_nce, positive_cosines
from scdnet.models.encoder import NUM_LEVELS, DualPathEncoder, EncoderSizes
from scdnet.models.objective import LossWeights, Objective, hdc_objective, scd_objective
from scdnet.models.scdnet import SCDNet
from scdnet.skeletons import NTU_25

SIZES = EncoderSizes(
    base_channels=8, embed_dim=16, num_heads=2, num_frames=12, num_bodies=2, dropout=0
)
HDC = hdc_objective(("spatial", "temporal"), (1, 2, 3, 4), "invariance")


def clips(n: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 12, 25, 2, generator=torch.Generator().manual_seed(seed))


def model_of(objective: Objective) -> SCDNet:
    torch.manual_seed(0)
    return SCDNet(
        SIZES, NTU_25, projection_dim=4, queue_size=8, momentum=0.9, objective=objective
    ).train()


@pytest.mark.parametrize("share_empty_bodies", [True, False])
@pytest.mark.parametrize("path", ["temporal", "spatial"])
def test_levels_are_the_means_after_each_unit_and_the_end(path: str, share_empty_bodies: bool):
    encoder = DualPathEncoder(SIZES, NTU_25).eval()
    x = clips()
    # Three of four clips show one person.
    x[1:, ..., 1] = 0
    outputs = []
    stem = getattr(encoder, f"{path}_stem")
    hooks = [
        unit.register_forward_hook(lambda *args: outputs.append(args[-1])) for unit in stem.units
    ]
    encoder.share_empty_bodies = False
    end = getattr(encoder(x), path)
    for hook in hooks:
        hook.remove()
    encoder.share_empty_bodies = share_empty_bodies
    *units, last = encoder.level_features(x, path)
    assert tuple(level.shape[1] for level in (*units, last)) == SIZES.level_widths()
    for level, output in zip(units, outputs, strict=True):
        by_body = output.mean(dim=(2, 3)).unflatten(0, (2, 4))  # (M, N, C)
        assert torch.allclose(level, by_body.mean(dim=0), atol=1e-6)
    assert torch.allclose(last, end, atol=1e-5)


def test_hdc_contrasts_each_level_of_each_path_with_itself():
    assert HDC.tasks == ("spatial", "temporal")
    assert HDC.pairs[1] == ("spatial_2", "spatial_2")
    assert HDC.pairs[-1] == ("temporal_4", "temporal_4")
    model = model_of(HDC)
    query, key, _ = model(clips(), clips(seed=1), clips(seed=2), clips(seed=3))
    names = {f"{path}_{level}" for path in ("spatial", "temporal") for level in (1, 2, 3, 4)}
    assert set(query) == set(key) == set(model.queues) == names
    assert all(x.shape == (4, 4) for x in (*query.values(), *key.values()))


def test_each_path_sees_the_views_of_its_own_task_alone():
    model = model_of(HDC).eval()
    first = model(clips(), clips(), clips(seed=1), clips(seed=1))[0]
    # Another query view of the spatial task.
    other = model(clips(seed=9), clips(), clips(seed=1), clips(seed=1))[0]
    changed = {name for name in first if not torch.equal(first[name], other[name])}
    assert changed == {f"spatial_{level}" for level in (1, 2, 3, 4)}


def test_hdc_of_one_level_and_subtask_is_the_plain_moco_loss():
    model = model_of(hdc_objective(("temporal",), (4,), "invariance"))
    query, key, _ = model(clips(), clips(seed=1))
    losses = contrast_losses(model.objective.pairs, query, key, model.negatives(), 0.2)
    # The same network, head and queue, by hand.
    path = model.query.encoder(clips()).temporal
    z = torch.nn.functional.normalize(model.query.heads["temporal_4"](path), dim=1)
    plain = info_nce(z, key["temporal_4"], model.queues["temporal_4"].keys, 0.2)
    assert (model.loss_weights() * losses).sum().item() == pytest.approx(plain.item(), rel=1e-5)


def test_both_objectives_at_once_are_their_sum():
    both = scd_objective((("instance", "instance"),)) + HDC
    assert both.tasks == ("scd", "spatial", "temporal") and len(both.pairs) == 9
    assert both.levels[0] == 0 and both.loss_weights == "invariance"
    weights = LossWeights(both)
    weights.update_ema(torch.linspace(-1, 1, 9))
    assert weights().shape == (9,) and weights()[0] == 1
    # The eight weights at levels have a mean of 1.
    assert weights()[1:].sum().item() == pytest.approx(8)


@pytest.mark.parametrize("kind", ["uniform", "depth", "invariance"])
def test_weights_sum_to_the_number_of_pairs(kind: str):
    weights = LossWeights(hdc_objective(("spatial", "temporal"), (1, 2, 4), kind))
    for seed in range(5):
        weights.update_ema(torch.rand(6, generator=torch.Generator().manual_seed(seed)))
        assert weights().sum().item() == pytest.approx(6)
    expected = {"uniform": [1, 1, 1], "depth": [3 / 7, 6 / 7, 12 / 7]}
    if kind in expected:
        assert weights().tolist() == pytest.approx(expected[kind] * 2)


def test_invariance_is_a_moving_average_of_cosines_with_a_floor_and_without_gradient():
    weights = LossWeights(hdc_objective(("spatial",), (1, 2), "invariance"))
    assert weights().tolist() == [1, 1]
    cosines = torch.tensor([0.5, 1.0], requires_grad=True)
    weights.update_ema(cosines)
    # 0.99 * 1 + 0.01 * cosine.
    assert weights.invariance.tolist() == pytest.approx([0.995, 1.0])
    assert not weights().requires_grad
    for _ in range(2000):
        weights.update_ema(torch.tensor([-1.0, 1.0]))
    assert weights.invariance[0].item() == pytest.approx(0.01)


def test_cosines_are_those_of_the_positives_without_gradient():
    e = torch.eye(3)
    query = {"a": e[[0, 1]].requires_grad_()}
    key = {"b": e[[0, 2]]}
    cosines = positive_cosines([("a", "b")], query, key)
    assert cosines.tolist() == [0.5] and not cosines.requires_grad


def test_only_what_is_contrasted_has_a_head_and_only_keys_a_queue():
    moco = model_of(scd_objective((("instance", "instance"),)))
    assert list(moco.query.heads) == list(moco.queues) == ["instance"]
    one_way = model_of(scd_objective((("temporal", "spatial"),)))
    assert list(one_way.query.heads) == ["temporal", "spatial"]
    assert list(one_way.queues) == ["spatial"]


@pytest.mark.parametrize(
    ("objective", "levels"),
    [
        (Objective(), (4, 4)),
        (scd_objective((("instance", "temporal"),)), (4, 4)),
        # A key trains nothing.
        (scd_objective((("temporal", "spatial"),)), (4, 0)),
        (hdc_objective(("spatial",), (2, 1), "uniform"), (0, 2)),
        (
            scd_objective((("temporal", "temporal"),))
            + hdc_objective(("spatial",), (3,), "uniform"),
            (4, 3),
        ),
    ],
)
def test_a_path_is_trained_up_to_the_last_level_that_is_a_query(
    objective: Objective, levels: tuple[int, int]
):
    assert tuple(objective.trained_level(path) for path in ("temporal", "spatial")) == levels
    model = model_of(objective)
    query, key, _ = model(*[clips(seed=seed) for seed in range(2 * len(objective.tasks))])
    contrast_losses(objective.pairs, query, key, model.negatives(), 0.2).sum().backward()
    for path, level in zip(("temporal", "spatial"), levels, strict=True):
        encoder = model.query.encoder
        units = getattr(encoder, f"{path}_stem").units
        end = getattr(encoder, f"{path}_path")
        parts = [next(part.parameters()).grad is not None for part in (*units, end)]
        assert parts == [i <= level for i in range(1, NUM_LEVELS + 1)]


def test_the_average_is_kept_with_the_weights():
    model = model_of(HDC)
    other = model_of(HDC)
    model.loss_weights.update_ema(torch.rand(8))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.loss_weights(), model.loss_weights())
    assert "loss_weights.invariance" not in model_of(Objective()).state_dict()
