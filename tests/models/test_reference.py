"""The model against its literal writing, in float64: in float32 some gradients are nothing but rounding."""

import copy

import pytest
import torch
from torch import Tensor, nn

from scdnet.engine.official import scdnet_weights
from scdnet.losses import CROSS_DOMAIN_PAIRS, contrast_losses
from scdnet.models.encoder import EncoderSizes
from scdnet.models.scdnet import SCDNet
from tests.reference import encoder as literal

SIZES = EncoderSizes(
    base_channels=8, embed_dim=16, num_heads=2, num_frames=12, num_bodies=2, dropout=0
)


def randomized(module: nn.Module) -> nn.Module:
    """The module in float64, every weight and statistic with a value that matters."""
    generator = torch.Generator().manual_seed(0)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point() and tensor.shape[:1] != (4,):  # the queues stay unit vectors
            tensor.data = (
                torch.rand(tensor.shape, generator=generator) * (0.6 / tensor[:1].numel() ** 0.5)
                + 0.1
            )
    return module.double()


def synthetic_views(*, bodies: int, empty: int) -> tuple[Tensor, Tensor]:
    """Two views of 5 clips, of which the first `empty` show one person; some frames are masked."""
    views = torch.randn(
        2, 5, 3, 12, 25, bodies, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    views[:, 1, :, 4:8] = 0
    if bodies == 2:
        views[:, :empty, ..., 1] = 0
    return tuple(views)


def both(bodies: int = 2) -> tuple[literal.SCDNet, SCDNet]:
    sizes = SIZES.__class__(**{**vars(SIZES), "num_bodies": bodies})
    reference = randomized(literal.SCDNet(sizes, projection_dim=4, queue_size=32, momentum=0.9))
    model = SCDNet(sizes, projection_dim=4, queue_size=32, momentum=0.9).double()
    model.load_state_dict(scdnet_weights(reference.state_dict()))
    return reference.train(), model.train()


def gradients(reference: literal.SCDNet) -> dict[str, Tensor]:
    """Its gradients under our names."""
    holder = copy.deepcopy(reference)
    for to, of in zip(holder.encoder_q.parameters(), reference.encoder_q.parameters(), strict=True):
        to.data = of.grad
    return scdnet_weights(holder.state_dict())


@pytest.mark.parametrize(("bodies", "empty"), [(2, 0), (2, 1), (2, 2), (2, 5), (1, 0)])
@pytest.mark.parametrize("share_empty_bodies", [True, False])
def test_a_training_step_is_the_literal_one(bodies: int, empty: int, share_empty_bodies: bool):
    reference, model = both(bodies)
    for side in (model.query, model.key):
        side.encoder.share_empty_bodies = share_empty_bodies
    views = synthetic_views(bodies=bodies, empty=empty)
    expected = reference.losses(*views)
    expected.sum().backward()

    model.update_momentum()
    query, key = model(*views)
    losses = contrast_losses(CROSS_DOMAIN_PAIRS, query, key, model.negatives(), 0.2)
    losses.sum().backward()
    model.enqueue(key)

    assert torch.allclose(losses, expected, rtol=1e-9)
    wanted = gradients(reference)
    largest = max(p.grad.abs().max() for p in model.query.parameters())
    for name, parameter in model.query.named_parameters():
        assert torch.allclose(
            parameter.grad, wanted[f"query.{name}"], rtol=1e-6, atol=1e-9 * largest.item()
        ), name
    after = scdnet_weights(reference.state_dict())  # running statistics, momentum encoder, queues
    for name, value in model.state_dict().items():
        assert torch.allclose(value, after[name], rtol=1e-9), name


@pytest.mark.parametrize("empty", [0, 3, 5])
def test_features_are_the_literal_ones(empty: int):
    reference, model = both()
    clips, _ = synthetic_views(bodies=2, empty=empty)
    encoder = model.query.encoder.eval()
    for own, expected in zip(
        encoder(clips), reference.encoder_q.encoder.eval()(clips), strict=True
    ):
        assert torch.allclose(own, expected, rtol=1e-9)
