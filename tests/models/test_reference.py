"""The model against the reference implementation.

In float64: in float32 some gradients are nothing but rounding.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from scdnet.engine.official import scdnet_weights
from scdnet.losses import CROSS_DOMAIN_PAIRS, contrast_losses
from scdnet.models.encoder import EncoderSizes
from scdnet.models.scdnet import SCDNet
from scdnet.skeleton import Skeleton
from scdnet.skeletons import COCO_17, KINECT_V1_20, MEDIAPIPE_33, NTU_25, OPENNI_15
from scdnet.streams import to_bone, to_motion
from tests.reference import encoder as reference

SIZES = EncoderSizes(
    base_channels=8, embed_dim=16, num_heads=2, num_frames=12, num_bodies=2, dropout=0
)


def randomized(module: nn.Module) -> nn.Module:
    """Return the module in float64, every weight and statistic with a value that matters."""
    generator = torch.Generator().manual_seed(0)
    for tensor in [*module.parameters(), *module.buffers()]:
        # The queues stay unit vectors.
        if tensor.is_floating_point() and tensor.shape[:1] != (4,):
            scale = 0.6 / tensor[:1].numel() ** 0.5
            tensor.data = torch.rand(tensor.shape, generator=generator) * scale + 0.1
    return module.double()


def synthetic_views(
    *, bodies: int, empty: int, skeleton: Skeleton = NTU_25
) -> tuple[Tensor, Tensor]:
    """Draw two views of 5 clips, the first `empty` of one person; some frames are masked."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, 5, 3, 12, skeleton.num_joints, bodies)
    views = torch.randn(shape, generator=generator, dtype=torch.float64)
    views[:, 1, :, 4:8] = 0
    if bodies == 2:
        views[:, :empty, ..., 1] = 0
    return tuple(views)


def make_both(
    bodies: int = 2, skeleton: Skeleton = NTU_25, num_streams: int = 1
) -> tuple[reference.SCDNet, SCDNet]:
    """Return the reference implementation and the model, with the same weights."""
    sizes = replace(SIZES, num_bodies=bodies, num_streams=num_streams)
    dims = {"projection_dim": 4, "queue_size": 32, "momentum": 0.9}
    slow = randomized(reference.SCDNet(sizes, skeleton, **dims))
    model = SCDNet(sizes, skeleton, **dims).double()
    model.load_state_dict(scdnet_weights(slow.state_dict()))
    return slow.train(), model.train()


def gradients(slow: reference.SCDNet) -> dict[str, Tensor]:
    """Return the gradients of the reference implementation under our names."""
    holder = copy.deepcopy(slow)
    pairs = zip(holder.encoder_q.parameters(), slow.encoder_q.parameters(), strict=True)
    for target, parameter in pairs:
        target.data = parameter.grad
    return scdnet_weights(holder.state_dict())


# Empty bodies make no difference without sharing, so one such case is enough.
@pytest.mark.parametrize(
    ("bodies", "empty", "share_empty_bodies"),
    [(2, 0, True), (2, 1, True), (2, 2, True), (2, 5, True), (1, 0, True), (2, 2, False)],
)
def test_a_training_step_is_that_of_the_reference(
    bodies: int, empty: int, share_empty_bodies: bool
):
    slow, model = make_both(bodies)
    for side in (model.query, model.key):
        side.encoder.share_empty_bodies = share_empty_bodies
    views = synthetic_views(bodies=bodies, empty=empty)
    check_step(slow, model, views, views)


@pytest.mark.parametrize(
    "skeleton", [OPENNI_15, KINECT_V1_20, COCO_17, MEDIAPIPE_33], ids=lambda s: s.name
)
def test_a_training_step_is_that_of_the_reference_for_any_skeleton(skeleton: Skeleton):
    slow, model = make_both(2, skeleton)
    views = synthetic_views(bodies=2, empty=2, skeleton=skeleton)
    check_step(slow, model, views, views)


@pytest.mark.parametrize("skeleton", [NTU_25, COCO_17], ids=lambda s: s.name)
def test_a_step_on_all_streams_is_one_on_joints_bones_and_motion_stacked(skeleton: Skeleton):
    slow, model = make_both(2, skeleton, num_streams=3)
    views = synthetic_views(bodies=2, empty=2, skeleton=skeleton)
    stacked = tuple(
        torch.cat([x, to_bone(x, skeleton), to_motion(x, skeleton)], dim=1) for x in views
    )
    check_step(slow, model, views, stacked)


def check_step(
    slow: reference.SCDNet,
    model: SCDNet,
    views: tuple[Tensor, Tensor],
    slow_views: tuple[Tensor, ...],
) -> None:
    """Compare losses, gradients and the state after a training step.

    `slow_views` are the views as the reference implementation gets them.
    """
    expected = slow.losses(*slow_views)
    expected.sum().backward()

    model.update_momentum()
    query, key, _ = model(*views)
    losses = contrast_losses(CROSS_DOMAIN_PAIRS, query, key, model.negatives(), 0.2)
    losses.sum().backward()
    model.enqueue(key)

    assert torch.allclose(losses, expected, rtol=1e-9)
    wanted = gradients(slow)
    largest = max(p.grad.abs().max() for p in model.query.parameters()).item()
    for name, parameter in model.query.named_parameters():
        gradient = wanted[f"query.{name}"]
        assert torch.allclose(parameter.grad, gradient, rtol=1e-6, atol=1e-9 * largest), name
    # The state contains running statistics, the momentum encoder and the queues.
    after = scdnet_weights(slow.state_dict())
    for name, value in model.state_dict().items():
        assert torch.allclose(value, after[name], rtol=1e-9), name


@pytest.mark.parametrize("empty", [0, 3, 5])
def test_features_are_those_of_the_reference(empty: int):
    slow, model = make_both()
    clips, _ = synthetic_views(bodies=2, empty=empty)
    features = model.query.encoder.eval()(clips)
    references = slow.encoder_q.encoder.eval()(clips)
    for own, expected in zip(features, references, strict=True):
        assert torch.allclose(own, expected, rtol=1e-9)
