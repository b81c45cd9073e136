import pytest
import torch

from scdnet.config import ViewsConfig
from scdnet.data.masks import FRAME_MASKS, JOINT_MASKS
from scdnet.skeleton import NTU_25, neighbor_matrix


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def joints(n: int, kind: str = "structured", **values: object) -> torch.Tensor:
    return JOINT_MASKS[kind](n, ViewsConfig(**values), NTU_25, generator())


def frames(n: int, kind: str, num: int = 64, **values: object) -> torch.Tensor:
    return FRAME_MASKS[kind](n, num, ViewsConfig(**values), generator())


def test_joint_mask_hides_the_joints_of_highest_score():
    """The masked joints of one seed have the most paths of two steps to it, ties apart."""
    reach = neighbor_matrix(NTU_25)
    score = reach @ reach
    keep = joints(200, seed_joint_fraction=1 / 25).numpy()
    for row in keep:
        lowest_hidden = [score[seed][~row].min() >= score[seed][row].max() for seed in range(25)]
        # It holds for the seed that was drawn.
        assert any(lowest_hidden)


@pytest.mark.parametrize("masked", [0, 1, 8, 24])
@pytest.mark.parametrize("kind", ["structured", "random"])
def test_joint_masks_hide_as_many_as_asked(kind: str, masked: int):
    keep = joints(50, kind, masked_joint_fraction=masked / 25)
    assert (~keep).sum(dim=1).tolist() == [masked] * 50


def test_ties_of_the_joint_mask_favor_no_side():
    keep = joints(20_000)
    hidden = (~keep).float().mean(dim=0)
    difference = hidden - hidden[list(NTU_25.mirror)]
    # 5 standard errors of 0.5 / sqrt(20,000) = 0.0035.
    assert difference.abs().max() < 0.02


def test_frame_mask_hides_whole_segments():
    keep = frames(300, "segments")
    segments = keep.view(300, 16, 4)
    assert (segments.all(dim=2) | ~segments.any(dim=2)).all()
    assert (~segments.any(dim=2)).sum(dim=1).tolist() == [6] * 300
    # Every segment is masked about as often.
    assert (keep.float().mean(dim=0) - 10 / 16).abs().max() < 0.15


def test_masks_depend_on_the_generator_alone():
    assert torch.equal(joints(9), joints(9))


def test_random_joint_masks_hide_any_joints():
    keep = joints(5000, "random", masked_joint_fraction=10 / 25)
    assert (~keep).sum(dim=1).tolist() == [10] * 5000
    # 5 standard errors of 0.007.
    assert (keep.float().mean(dim=0) - 15 / 25).abs().max() < 0.035


def test_frame_masks_hide_as_many_single_frames_as_the_segments_contain():
    keep = frames(500, "frames")
    # 6 of 16 segments of 4 frames.
    assert (~keep).sum(dim=1).tolist() == [24] * 500
    share = keep.view(500, 16, 4).float().mean(dim=2)
    assert not ((share == 0) | (share == 1)).all(dim=1).any()


@pytest.mark.parametrize(
    ("segments", "masked"), [(16, 0), (16, 1), (16, 6), (16, 15), (2, 1), (64, 13)]
)
def test_single_frames_and_segments_hide_as_many_frames(segments: int, masked: int):
    hidden = {
        kind: ~frames(50, kind, num_segments=segments, num_masked_segments=masked)
        for kind in ("segments", "frames")
    }
    expected = [masked * 64 // segments] * 50
    for mask in hidden.values():
        assert mask.sum(dim=1).tolist() == expected


@pytest.mark.parametrize(("masked", "expected"), [(0, 0), (1, 1), (6, 11), (15, 28)])
def test_single_frames_need_no_whole_segments(masked: int, expected: int):
    """Each segment counts as 30 / 16 frames; the sum is rounded down."""
    keep = frames(50, "frames", 30, num_masked_segments=masked)
    assert (~keep).sum(dim=1).tolist() == [expected] * 50


def test_none_hides_nothing():
    assert joints(5, "none").all() and frames(5, "none").all()
