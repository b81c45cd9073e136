import math

import numpy as np
import pytest
import torch

from scdnet.models.components import Components, count_components, fit_projection
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS
from tests.reference.components import slow_fit

PARTS = ("joint", "bone", "motion")


def random_clips(num: int, skeleton: Skeleton = NTU_25) -> torch.Tensor:
    """Return clips (num, C, T, V, M) of random joints."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, 3, 6, skeleton.num_joints, 1, generator=generator)


def test_components_are_divided_by_the_root_of_their_singular_values():
    # The first axis has the singular value sqrt(4 * 3^2) = 6, the second sqrt(4 * 1^2) = 2, the
    # third none. The first one holds 36/40 of the variance: less than 95 %.
    x = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]]).repeat(2, 1)
    mean = torch.tensor([5.0, 7, 2])
    projection = fit_projection(torch.cat([x, torch.zeros(8, 1)], dim=1) + mean)
    assert torch.allclose(projection.mean, mean)
    weight = projection.weight.abs()
    expected = torch.tensor([[6**-0.5, 0], [0, 2**-0.5], [0, 0]])
    assert torch.allclose(weight, expected, atol=1e-6)
    # (3, 1, 0) becomes (3 / sqrt 6, 1 / sqrt 2), which has the length sqrt 2.
    row = projection(mean + torch.tensor([[3.0, 1, 0]])).abs()
    assert torch.allclose(row, torch.tensor([[3 / math.sqrt(12), 0.5]]), atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_both_ways_to_the_components_agree_with_a_singular_value_decomposition(shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * torch.arange(shape[1])
    projection = fit_projection(x)
    weight, num = slow_fit(x.double().numpy())[1:]
    assert projection.weight.shape == weight.shape == (shape[1], num)
    signs = np.sign((projection.weight.numpy() * weight).sum(axis=0))
    np.testing.assert_allclose(projection.weight.numpy() * signs, weight, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "num_rows", "num"),
    [
        # 94 % is not enough, 95 % is.
        ([94.0, 4, 2], 100, 2),
        ([95.5, 4, 0.5], 100, 1),
        ([1.0, 1, 1, 1], 100, 4),
        # At most a quarter of the sequences.
        ([1.0, 1, 1, 1], 15, 3),
        ([1.0, 1, 1, 1], 4, 1),
    ],
)
def test_the_fewest_components_that_hold_95_percent(values: list, num_rows: int, num: int):
    assert count_components(torch.tensor(values), num_rows) == num


def test_each_part_has_unit_length():
    clips = random_clips(12)
    components = Components.fit(clips, PARTS, NTU_25)
    assert components.widths == dict.fromkeys(PARTS, 3)
    parts = components(clips).split(3, dim=1)
    for part in parts:
        assert torch.allclose(part.norm(dim=1), torch.ones(12), atol=1e-5)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_components_of_any_skeleton_survive_their_state(skeleton: Skeleton):
    clips = random_clips(8, skeleton)
    components = Components.fit(clips, PARTS, skeleton)
    state = components.state_dict()
    again = Components.from_weights(state, skeleton)
    assert again.state_dict().keys() == state.keys()
    assert torch.equal(again(clips), components(clips))


def test_components_have_no_weights_to_train():
    assert not list(Components.fit(random_clips(8), PARTS, NTU_25).parameters())


def test_a_part_in_which_all_clips_agree_has_no_component():
    clips = random_clips(8)
    # All move alike, from different places.
    clips = clips[:1] + torch.randn(8, 3, 1, 1, 1)
    assert Components.fit(clips, PARTS, NTU_25).widths == {"joint": 2, "bone": 0, "motion": 0}
