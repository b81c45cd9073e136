"""The prediction of hidden tokens: what leaks, what is predicted, and the reference in loops."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from scdnet.config import LatentConfig
from scdnet.data.hiding import HiddenDraws, sample_hidden
from scdnet.engine.official import scdnet_weights
from scdnet.losses import LATENT_MEASURES, latent_losses
from scdnet.models.encoder import PATHS, DualPathEncoder, EncoderSizes
from scdnet.models.latent import (
    HiddenTokens,
    Latent,
    Prediction,
    choose_hidden,
    token_weights,
)
from scdnet.models.objective import (
    Objective,
    hdc_objective,
    latent_objective,
)
from scdnet.models.scdnet import SCDNet
from scdnet.skeletons import COCO_17, NTU_25
from scdnet.streams import stack_streams, to_stream, visible_values
from tests.models.test_reference import randomized, synthetic_views
from tests.reference import encoder as reference
from tests.reference import latent as slow_latent

SIZES = EncoderSizes(
    base_channels=8, embed_dim=16, num_heads=2, num_frames=12, num_bodies=2, dropout=0
)
STREAMS = ("joint", "bone", "motion", "all")
HDC = hdc_objective(("spatial", "temporal"), (1, 4), "uniform")


def latent_of(stream: str = "joint", **values) -> Latent:
    return Latent(LatentConfig(**values), stream)


def model_of(objective: Objective, sizes: EncoderSizes = SIZES) -> SCDNet:
    torch.manual_seed(0)
    model = SCDNet(sizes, NTU_25, projection_dim=4, queue_size=8, momentum=0.9, objective=objective)
    return model.double().train()


def draw(latent: Latent, n: int = 5, seed: int = 0) -> HiddenDraws:
    return sample_hidden(
        n,
        SIZES.num_frames,
        latent=latent.config,
        skeleton=NTU_25,
        generator=torch.Generator().manual_seed(seed),
    )


def hidden_of(clips: Tensor, path: str, latent: Latent, seed: int = 0) -> HiddenTokens:
    joints, frames, noise = draw(latent, len(clips), seed)
    which = {"spatial": 0, "temporal": 1}[path]
    return choose_hidden(clips, path, (joints, frames)[which], noise[:, which], latent=latent)


def gradient_at(stream: str, path: str, *, hides: bool, align_sides: bool) -> tuple[Tensor, Tensor]:
    """Return the gradient of visible tokens by joints (N, C, T, V, M), and what is visible of them.

    Every token and channel has a weight of its own in the sum whose gradient is taken.
    """
    num_streams = 3 if stream == "all" else 1
    encoder = DualPathEncoder(
        replace(SIZES, num_streams=num_streams, align_sides=align_sides), NTU_25
    )
    randomized(encoder).train()
    joints = synthetic_views(bodies=2, empty=2)[0].requires_grad_()
    clips = encoder.align(to_stream(joints, stream, NTU_25))
    hidden = hidden_of(clips, path, latent_of(stream))
    seen = hidden.is_visible if hides else torch.ones_like(hidden.is_visible)
    tokens = encoder.visible_tokens(
        clips, path, is_visible=visible_values(seen, stream, NTU_25), rows=hidden.visible
    )
    (tokens * torch.randn(tokens.shape, dtype=tokens.dtype)).sum().backward()
    return joints.grad, hidden.is_visible


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", STREAMS)
def test_no_visible_token_depends_on_a_hidden_value_in_training(stream: str, path: str):
    gradient, is_visible = gradient_at(stream, path, hides=True, align_sides=False)
    size = gradient.abs().amax(dim=(1, 4))  # (N, T, V)
    assert (size[~is_visible] == 0).all()
    assert (size[is_visible] > 0).float().mean() > 0.5


@pytest.mark.parametrize("path", PATHS)
def test_hiding_behind_the_stem_leaks(path: str):
    """The control of the ablation: every hidden value reaches visible tokens."""
    gradient, is_visible = gradient_at("joint", path, hides=False, align_sides=False)
    size = gradient.abs().amax(dim=(1, 4))
    # Frames that a view has masked are constant, as are absent bodies.
    assert (size[~is_visible] > 0).float().mean() > 0.9


def test_sides_are_aligned_by_the_whole_clip():
    """Hidden and whole copies of a clip are mirrored alike, whatever is hidden."""
    torch.manual_seed(0)
    encoder = DualPathEncoder(replace(SIZES, align_sides=True), NTU_25).double()
    clips = synthetic_views(bodies=2, empty=2)[0]
    latent = latent_of()
    hidden = hidden_of(encoder.align(clips), "spatial", latent)
    shown = hidden.is_visible[:, None, :, :, None]
    after = encoder.align(clips) * shown
    # Mirrored by what is left of them, some clips would be mirrored otherwise.
    before = encoder.align(encoder.align(clips) * shown)
    assert not torch.equal(after, before)
    got = encoder.eval().visible_tokens(
        encoder.align(clips), "spatial", is_visible=hidden.is_visible[:, None], rows=hidden.visible
    )
    encoder.sizes = SIZES
    direct = encoder.visible_tokens(
        after, "spatial", is_visible=torch.ones_like(hidden.is_visible[:, None]),
        rows=hidden.visible,
    )  # fmt: skip
    assert torch.equal(got, direct)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("stream", STREAMS)
def test_values_of_all_streams_are_hidden_as_the_reference_hides_them(stream: str, dims: int):
    skeleton = NTU_25 if dims == 3 else COCO_17
    names = ("joint", "bone", "motion") if stream == "all" else (stream,)
    joints = torch.randn(2, 3, 12, skeleton.num_joints, 1)
    clips = to_stream(joints, stream, skeleton)
    stacked = stack_streams(clips, skeleton) if stream == "all" else clips
    visible = torch.rand(2, 12, skeleton.num_joints) > 0.4
    # Whole joints of the first clip, whole frames of the second.
    visible[0] = visible[0, :1]
    visible[1] = visible[1, :, :1]
    shown = visible_values(visible, stream, skeleton)
    own = (stacked.unflatten(1, (len(names), -1)) * shown[:, :, None, ..., None]).flatten(1, 2)
    joints_hidden = {v for v in range(skeleton.num_joints) if not visible[0, 0, v]}
    frames_hidden = {t for t in range(12) if not visible[1, t, 0]}
    sets = [
        {"joints": joints_hidden, "frames": set()},
        {"joints": set(), "frames": frames_hidden},
    ]
    for clip, expected, hidden in zip(own, stacked, sets, strict=True):
        assert torch.equal(clip, slow_latent.hide(expected, names, skeleton, **hidden))


def slow_losses(
    slow: reference.SCDNet, model: SCDNet, path: str, view: Tensor, draws: HiddenDraws
) -> tuple[Tensor, Tensor]:
    """Return both losses of a path by the reference implementation."""
    latent = model.objective.latent
    streams = ("joint", "bone", "motion") if latent.stream == "all" else (latent.stream,)
    stacked = stack_streams(view, NTU_25) if latent.stream == "all" else view
    candidates = draws.joints if path == "spatial" else draws.frames
    sets = [{k for k, is_hidden in enumerate(row[0].tolist()) if is_hidden} for row in candidates]
    names = {"spatial": "joints", "temporal": "frames"}
    nothing = {"joints": set(), "frames": set()}
    copies = torch.stack(
        [
            slow_latent.hide(clip, streams, NTU_25, **{**nothing, names[path]: hidden})
            for clip, hidden in zip(stacked, sets, strict=True)
        ]
    )
    with torch.no_grad():
        encoder = slow.encoder_k.encoder
        tokens = slow_latent.path_tokens(encoder, stacked, path)
        target = slow_latent.encode_tokens(encoder, tokens, path)
    encoder = slow.encoder_q.encoder
    tokens = slow_latent.path_tokens(encoder, copies, path)
    axes = (12,) if path == "temporal" else (2, 25)
    modulus = axes[-1]
    predicted = []
    for own, hidden in zip(tokens, sets, strict=True):
        left = [token for token in range(len(own)) if token % modulus not in hidden]
        seen = slow_latent.encode_tokens(encoder, own[None, left], path)[0]
        gone = [token for token in range(len(own)) if token % modulus in hidden]
        predicted.append(
            slow_latent.predict_tokens(
                model.predictors[path], dict(zip(left, seen, strict=True)), gone, axes
            )
        )
    is_there = token_weights(view, path).T > 0
    config = latent.config
    return slow_latent.losses(
        predicted, target, is_there, norm=config.target_norm, kind=config.loss
    )


def measured(prediction: Prediction, latent: Latent) -> Tensor:
    return latent_losses(
        prediction.predicted,
        prediction.target,
        rows=prediction.rows,
        weight=prediction.weight,
        norm=latent.config.target_norm,
        distance=latent.config.loss,
        gather=lambda x: x[None],
    )


@pytest.mark.parametrize(
    ("stream", "values"),
    [
        ("joint", {}),
        ("all", {"target_norm": "tokens", "joint_fraction": 0.3, "predictor_layers": 2}),
        ("bone", {"loss": "cosine", "frame_fraction": 0.25}),
        ("motion", {"target_norm": "none"}),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_loss_and_gradients_are_those_of_the_reference(path: str, stream: str, values: dict):
    sizes = replace(SIZES, num_streams=3 if stream == "all" else 1)
    latent = latent_of(stream, **values)
    dims = {"projection_dim": 4, "queue_size": 32, "momentum": 0.9}
    slow = randomized(reference.SCDNet(sizes, NTU_25, **dims)).train()
    objective = Objective() + latent_objective(latent)
    torch.manual_seed(0)
    model = SCDNet(sizes, NTU_25, **dims, objective=objective).double().train()
    model.load_state_dict(scdnet_weights(slow.state_dict()), strict=False)
    query_view, key_view = synthetic_views(bodies=2, empty=2)
    draws = draw(latent)

    expected, expected_mean = slow_losses(slow, model, path, key_view, draws)
    expected.backward()
    wanted_predictor = [p.grad.clone() for p in model.predictors[path].parameters()]
    model.zero_grad(set_to_none=True)

    prediction = model(query_view, key_view, *draws).predictions[path]
    loss, mean_loss, _ = measured(prediction, latent)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    assert mean_loss.item() == pytest.approx(expected_mean.item(), rel=1e-9)
    for p in slow.encoder_q.parameters():
        p.data = torch.zeros_like(p) if p.grad is None else p.grad
    wanted = scdnet_weights(slow.state_dict())
    found = dict(model.query.named_parameters())
    largest = max(p.grad.abs().max() for p in found.values() if p.grad is not None).item()
    for name, parameter in found.items():
        own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert torch.allclose(own, wanted[f"query.{name}"], rtol=1e-6, atol=1e-9 * largest), name
    own_predictor = [p.grad for p in model.predictors[path].parameters()]
    for own, other in zip(own_predictor, wanted_predictor, strict=True):
        assert torch.allclose(own, other, rtol=1e-6, atol=1e-9 * largest)


def test_targets_are_the_momentum_encoder_s_tokens_of_the_whole_view_without_gradient():
    latent = latent_of()
    model = model_of(Objective() + latent_objective(latent))
    query_view, key_view = synthetic_views(bodies=2, empty=2)
    predictions = model(query_view, key_view, *draw(latent)).predictions
    tokens = model.key.encoder.tokens(key_view)._asdict()
    sum(measured(own, latent)[0] for own in predictions.values()).backward()
    for path, own in predictions.items():
        assert torch.equal(own.target, tokens[path])
        assert not own.target.requires_grad
    assert all(parameter.grad is None for parameter in model.key.parameters())
    encoder = model.query.encoder
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert all(parameter.grad is not None for parameter in model.predictors.parameters())


@pytest.mark.parametrize(
    ("objective", "num_views", "has_pairs"),
    [
        (latent_objective(latent_of()), 1, False),
        (Objective() + latent_objective(latent_of()), 2, True),
        (HDC + latent_objective(latent_of()), 4, True),
        (Objective() + HDC + latent_objective(latent_of()), 6, True),
    ],
)
def test_each_path_is_predicted_from_a_key_view_that_it_sees(
    objective: Objective, num_views: int, has_pairs: bool
):
    model = model_of(objective)
    assert objective.num_views == num_views and bool(model.queues) == has_pairs
    views = [
        synthetic_views(bodies=2, empty=seed % 3)[seed % 2] + seed for seed in range(num_views)
    ]
    outputs = model(*views, *draw(objective.latent))
    assert set(outputs.predictions) == set(PATHS)
    keys = [views[0]] if num_views == 1 else views[1::2]
    of_path = {"temporal": keys[0], "spatial": keys[0]}
    if objective.tasks == ("spatial", "temporal"):
        of_path["temporal"] = keys[1]
    for path, own in outputs.predictions.items():
        tokens = getattr(model.key.encoder.tokens(of_path[path]), path)
        assert torch.equal(own.target, tokens)
    assert objective.trained_level("temporal") == objective.trained_level("spatial") == 4


def test_with_one_subtask_of_hdc_its_path_alone_is_predicted():
    one = hdc_objective(("temporal",), (2,), "uniform") + latent_objective(latent_of())
    assert one.predicted_paths == ("temporal",)
    assert list(model_of(one).predictors) == ["temporal"]
    assert one.trained_level("spatial") == 0


def test_the_hidden_pass_leaves_the_running_statistics():
    latent = latent_of()
    model = model_of(latent_objective(latent))
    before = {name: x.clone() for name, x in model.query.encoder.named_buffers()}
    model(synthetic_views(bodies=2, empty=2)[0], *draw(latent))
    for name, x in model.query.encoder.named_buffers():
        assert torch.equal(x, before[name]), name
    # The momentum encoder sees the whole view, and its statistics move.
    assert model.key.encoder.temporal_stem.input_norm.num_batches_tracked == 1


@pytest.mark.parametrize("path", PATHS)
def test_sharing_absent_bodies_changes_nothing(path: str):
    latent = latent_of()
    model = model_of(latent_objective(latent))
    clips = synthetic_views(bodies=2, empty=3)[0]
    found = []
    for share in (True, False):
        model.query.encoder.share_empty_bodies = share
        model.key.encoder.share_empty_bodies = share
        prediction = model(clips, *draw(latent)).predictions[path]
        found.append(measured(prediction, latent))
    assert torch.allclose(*found, rtol=1e-9)


def test_absent_bodies_weigh_nothing():
    clips = synthetic_views(bodies=2, empty=3)[0]
    clips[0] = 0
    spatial = token_weights(clips, "spatial")
    assert spatial.unflatten(0, (2, 25)).mean(dim=1).tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 1, 1]]
    assert token_weights(clips, "temporal").mean(dim=0).tolist() == [0, 1, 1, 1, 1]


def test_motion_prefers_what_moves():
    latent = latent_of(hide="motion")
    clips = torch.zeros(200, 3, 12, 25, 1)
    # One hand moves in the last third of the clip.
    clips[:, :, 8:, 7] = torch.arange(4.0)[:, None]
    for path, still, moving in (("spatial", 19, 7), ("temporal", 1, 9)):
        joints_or_frames = hidden_of(clips[..., :1], path, latent).hidden  # (H, N)
        counts = torch.bincount(joints_or_frames.flatten(), minlength=25)
        assert counts[moving] > 1.3 * counts[still]


def targets(n: int = 6, num_tokens: int = 5, dim: int = 4) -> Tensor:
    x = torch.randn(num_tokens, n, dim, generator=torch.Generator().manual_seed(0))
    return x.double()


def losses_of(predicted: Tensor, target: Tensor, rows: Tensor, **values) -> dict[str, float]:
    weight = values.pop("weight", torch.ones(target.shape[:2]).double())
    settings = {"norm": "batch", "distance": "smooth_l1", "gather": lambda x: x[None]} | values
    found = latent_losses(predicted, target, rows=rows, weight=weight, **settings)
    return dict(zip(LATENT_MEASURES, found.tolist(), strict=True))


def test_of_a_constant_encoder_the_losses_are_what_arithmetic_says():
    rows = torch.tensor([0, 3])[:, None].expand(-1, 6)
    target = torch.full((5, 6, 4), 0.7).double()
    predicted = torch.full((2, 6, 4), 0.5).double()
    # Over the batch, or over tokens, nothing is left of it; 0.5^2 / 2.
    for norm in ("batch", "tokens"):
        found = losses_of(predicted, target, rows, norm=norm)
        assert found["latent_loss"] == pytest.approx(0.125)
        assert found["latent_mean_loss"] == pytest.approx(0, abs=1e-12)
    # Not normalized it is 0.2^2 / 2.
    found = losses_of(predicted, target, rows, norm="none")
    assert found["latent_loss"] == pytest.approx(0.02)
    assert found["latent_spread"] == pytest.approx(0, abs=1e-7)
    # Tokens that differ by position but not by clip.
    target = target * torch.arange(5)[:, None, None]
    found = losses_of(predicted, target, rows, norm="tokens")
    assert found["latent_mean_loss"] == pytest.approx(0, abs=1e-12)
    assert found["latent_spread"] == pytest.approx(0, abs=1e-7)


def test_over_tokens_which_joint_it_is_scores_and_over_the_batch_it_does_not():
    """Tokens that are mostly their position: the mean over the batch predicts them."""
    position = torch.randn(5, 1, 4, generator=torch.Generator().manual_seed(1)).double()
    target = 10 * position + targets()
    rows = torch.tensor([0, 3])[:, None].expand(-1, 6)
    predicted = torch.zeros(2, 6, 4).double()
    over_tokens = losses_of(predicted, target, rows, norm="tokens")
    over_batch = losses_of(predicted, target, rows)
    assert over_tokens["latent_mean_loss"] < 0.02
    assert over_batch["latent_mean_loss"] > 0.3
    assert over_batch["latent_mean_loss"] == pytest.approx(over_batch["latent_loss"])


def test_a_perfect_prediction_has_no_loss():
    target = targets()
    rows = torch.stack([torch.randperm(5)[:2] for _ in range(6)], dim=1)
    normalized = (target - target.mean(dim=1, keepdim=True)) / (
        target.var(dim=1, correction=0, keepdim=True) + 1e-6
    ).sqrt()
    predicted = torch.take_along_dim(normalized, rows[..., None], dim=0)
    assert losses_of(predicted, target, rows)["latent_loss"] == pytest.approx(0, abs=1e-15)
    assert losses_of(predicted, target, rows, distance="cosine")["latent_loss"] == pytest.approx(0)


def test_tokens_of_absent_bodies_change_no_loss():
    target = targets()
    weight = torch.ones(5, 6).double()
    weight[3:, :4] = 0
    rows = torch.tensor([0, 3])[:, None].expand(-1, 6)
    predicted = torch.randn(2, 6, 4).double()
    found = []
    for noise in (0, 100):
        for norm in ("batch", "tokens", "none"):
            changed = target + noise * (1 - weight)[..., None]
            found.append(losses_of(predicted, changed, rows, norm=norm, weight=weight))
    for own, other in zip(found[:3], found[3:], strict=True):
        assert own == pytest.approx(other, rel=1e-9)
