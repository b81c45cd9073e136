from dataclasses import replace

import pytest
import torch
from torch import nn

from scdnet.models.components import Components
from scdnet.models.ctrgcn import find_distinct_bodies
from scdnet.models.encoder import PATHS, DualPathEncoder, EncoderLayer, EncoderSizes, TokenPath
from scdnet.models.heads import ProjectedEncoder
from scdnet.models.objective import Objective
from scdnet.models.sides import mirror, side_balance
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS

SMALL = EncoderSizes(
    base_channels=8, embed_dim=16, num_heads=2, num_layers=2, num_frames=12, num_bodies=1
)


def count_weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_paper_sizes_have_the_paper_weight_counts():
    # docs/method.md 3.
    with torch.device("meta"):
        projected = ProjectedEncoder(
            DualPathEncoder(EncoderSizes(), NTU_25), projection_dim=128, objective=Objective()
        )
    assert round(count_weights(projected) / 1e6, 1) == 92.0
    assert round(count_weights(projected.encoder) / 1e6, 1) == 74.4


def test_features_have_one_row_a_clip_and_path():
    out = DualPathEncoder(SMALL, NTU_25)(torch.randn(5, 3, 12, 25, 1))
    assert out.temporal.shape == out.spatial.shape == (5, 16)


def test_sizes_are_read_from_the_weights():
    for sizes in (SMALL, replace(SMALL, num_streams=3)):
        weights = DualPathEncoder(sizes, NTU_25).state_dict()
        assert EncoderSizes.from_weights(weights, num_heads=2) == sizes


@pytest.mark.parametrize("num_bodies", [1, 2])
@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_sizes_are_read_from_the_weights_of_any_skeleton(skeleton: Skeleton, num_bodies: int):
    sizes = replace(SMALL, num_bodies=num_bodies, num_frames=10)
    weights = DualPathEncoder(sizes, skeleton).state_dict()
    assert EncoderSizes.from_weights(weights, num_heads=2) == sizes
    assert weights["temporal_stem.units.0.gcn.adjacency"].shape[-1] == skeleton.num_joints


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_features_depend_on_every_joint_and_coordinate_of_any_skeleton(skeleton: Skeleton):
    torch.manual_seed(0)
    encoder = DualPathEncoder(SMALL, skeleton).eval()
    clips = torch.randn(1, 3, 12, skeleton.num_joints, 1, requires_grad=True)
    sum(x.square().sum() for x in encoder(clips)).backward()
    assert (clips.grad.abs().amax(dim=(0, 2, 4)) > 0).all()


def test_eval_features_do_not_depend_on_the_rest_of_the_batch():
    encoder = DualPathEncoder(SMALL, NTU_25).eval()
    clips = torch.randn(4, 3, 12, 25, 1)
    whole = encoder(clips)
    part = encoder(clips[:2])
    assert torch.allclose(whole.temporal[:2], part.temporal, atol=1e-5)
    assert torch.allclose(whole.spatial[:2], part.spatial, atol=1e-5)


def test_paths_share_no_weight():
    encoder = DualPathEncoder(SMALL, NTU_25)
    encoder(torch.randn(4, 3, 12, 25, 1)).temporal.sum().backward()
    with_gradient = {
        name.split("_")[0] for name, p in encoder.named_parameters() if p.grad is not None
    }
    assert with_gradient == {"temporal"}


def test_path_ignores_the_order_of_its_tokens():
    """It has no position embedding, and a maximum at the end."""
    path = TokenPath(6, SMALL).eval()
    tokens = torch.randn(10, 2, SMALL.embed_dim)
    assert torch.allclose(path(tokens), path(tokens.flip(0)), atol=1e-5)


def test_pooling_is_over_the_tokens():
    tokens = torch.randn(10, 2, SMALL.embed_dim)
    for pooling, pool in (("max", lambda x: x.amax(dim=0)), ("mean", lambda x: x.mean(dim=0))):
        path = TokenPath(6, replace(SMALL, pooling=pooling)).eval()
        assert torch.equal(path(tokens), pool(path.transformer(tokens)))


def test_an_encoder_layer_is_torch_s_without_dropout():
    torch.manual_seed(0)
    own = EncoderLayer(16, 4, 16, 0.0).double()
    other = nn.TransformerEncoderLayer(16, 4, 16, 0.0).double()
    other.load_state_dict(own.state_dict())
    x = torch.randn(5, 3, 16, dtype=torch.float64)
    assert torch.allclose(own(x), other(x))
    for layer in (own, other):
        layer(x).square().sum().backward()
    pairs = zip(own.named_parameters(), other.parameters(), strict=True)
    for (name, found), expected in pairs:
        assert torch.allclose(found.grad, expected.grad, atol=1e-10), name


def test_an_encoder_layer_drops_in_training_only():
    layer = EncoderLayer(16, 4, 16, 0.5)
    x = torch.randn(5, 3, 16)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_transformer_is_post_norm_with_feed_forward_of_the_width_and_relu():
    layer = TokenPath(6, SMALL).transformer.layers[0]
    assert not layer.norm_first
    assert layer.linear1.out_features == SMALL.embed_dim
    assert layer.dropout.p == pytest.approx(0.1)


def test_linear_and_attention_weights_start_xavier_uniform():
    path = TokenPath(300, EncoderSizes(embed_dim=100, num_heads=2))
    bound = (6 / (300 + 100)) ** 0.5
    assert path.project[0].weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    # The weights of query, key and value are one matrix.
    bound = (6 / (3 * 100 + 100)) ** 0.5
    attention = path.transformer.layers[0].self_attn
    assert attention.in_proj_weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_empty_second_bodies_are_looked_for_among_the_second_ones_only():
    clips = torch.randn(4, 3, 6, 25, 2)
    # An absent first body is like any other.
    clips[0, ..., 0] = 0
    assert find_distinct_bodies(clips) is None
    # A single absent second body has nothing to share.
    clips[1, ..., 1] = 0
    assert find_distinct_bodies(clips) is None
    clips[3, ..., 1] = 0
    bodies = find_distinct_bodies(clips)
    # Four first bodies, two second ones, and one that is absent.
    assert bodies.index.tolist() == [0, 1, 2, 3, 4 + 0, 4 + 2, 4 + 1]
    assert bodies.count.tolist() == [1, 1, 1, 1, 1, 1, 2]
    assert bodies.row.tolist() == [0, 2, 1, 2]
    assert find_distinct_bodies(clips[..., :1]) is None


def encoder_with_components(*, align_sides: bool) -> tuple[DualPathEncoder, torch.Tensor]:
    """Return an encoder in eval mode, and the clips (12, C, T, V, 1) of its components."""
    torch.manual_seed(0)
    encoder = DualPathEncoder(replace(SMALL, align_sides=align_sides), NTU_25).eval()
    clips = torch.randn(12, 3, 12, 25, 1)
    parts = ("joint", "motion")
    for name, seen in encoder.seen_clips(clips).items():
        encoder.components[name] = Components.fit(seen, parts, NTU_25)
    return encoder, clips


def test_without_components_all_features_are_those_of_the_paths():
    encoder = DualPathEncoder(SMALL, NTU_25).eval()
    clips = torch.randn(2, 3, 12, 25, 1)
    for all_features, paths in zip(encoder.all_features(clips), encoder(clips), strict=True):
        assert torch.equal(all_features, paths)


@pytest.mark.parametrize("align_sides", [False, True])
def test_components_are_as_long_as_the_features_of_both_paths(align_sides: bool):
    encoder, clips = encoder_with_components(align_sides=align_sides)
    temporal, spatial, components, *side = encoder.all_features(clips)
    length = torch.cat([temporal, spatial], dim=1).norm(dim=1)
    assert torch.allclose(components.norm(dim=1), length, rtol=1e-5)
    assert len(side) == align_sides


def test_the_weight_of_the_components_is_their_squared_length():
    encoder, clips = encoder_with_components(align_sides=False)
    *paths, components = encoder.all_features(clips)
    encoder.sizes = replace(encoder.sizes, component_weight=0.25)
    *same, shorter = encoder.all_features(clips)
    assert all(map(torch.equal, paths, same))
    assert torch.allclose(shorter, components / 2, atol=1e-6)


def test_with_aligned_sides_a_mirror_image_differs_in_its_own_components_and_the_last_feature():
    encoder, clips = encoder_with_components(align_sides=True)
    own = encoder.all_features(clips)
    other = encoder.all_features(mirror(clips, NTU_25))
    for path in (0, 1):
        assert torch.equal(own[path], other[path])
    # Two parts of three components each: of the clips as they are, then of the aligned ones.
    original, aligned = own[2].chunk(2, dim=1)
    other_original, other_aligned = other[2].chunk(2, dim=1)
    assert torch.allclose(aligned, other_aligned, rtol=1e-4, atol=1e-5)
    # docs/small.md.
    assert torch.allclose(aligned.norm(dim=1) ** 2, 3 * original.norm(dim=1) ** 2, rtol=1e-4)
    assert not torch.allclose(original, other_original, rtol=0.1)
    assert torch.allclose(own[3], -other[3], atol=1e-5)
    assert torch.equal(own[3][:, 0] > 0, side_balance(clips, NTU_25) > 0)


def test_levels_see_all_streams():
    encoder = DualPathEncoder(replace(SMALL, num_streams=3), NTU_25).eval()
    clips = torch.randn(2, 3, 12, 25, 1)
    paths = encoder(clips)
    for path, features in zip(PATHS, paths, strict=True):
        assert torch.equal(encoder.level_features(clips, path)[-1], features)


def test_levels_see_aligned_clips():
    encoder, clips = encoder_with_components(align_sides=True)
    for path in ("temporal", "spatial"):
        own = encoder.level_features(clips, path)
        other = encoder.level_features(mirror(clips, NTU_25), path)
        assert all(torch.equal(x, y) for x, y in zip(own, other, strict=True))
