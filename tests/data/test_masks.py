import torch

from scdnet.data.masks import draw_frame_masks, draw_joint_masks
from scdnet.skeleton import NTU_25, neighbour_matrix


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_joint_mask_hides_the_joints_of_highest_score():
    """One seed: the joints hidden are those with most paths of two steps to some joint, ties apart."""
    reach = neighbour_matrix(NTU_25)
    score = reach @ reach
    keep = draw_joint_masks(200, NTU_25, seeds=1, masked=8, generator=generator()).numpy()
    for row in keep:
        lowest_hidden = [score[seed][~row].min() >= score[seed][row].max() for seed in range(25)]
        assert any(lowest_hidden)  # for the seed that was drawn


def test_joint_mask_hides_as_many_as_asked():
    keep = draw_joint_masks(50, NTU_25, seeds=5, masked=8, generator=generator())
    assert (~keep).sum(dim=1).tolist() == [8] * 50


def test_ties_of_the_joint_mask_do_not_favour_a_side():
    keep = draw_joint_masks(20_000, NTU_25, seeds=5, masked=8, generator=generator())
    hidden = (~keep).float().mean(dim=0)
    assert (hidden - hidden[list(NTU_25.mirror)]).abs().max() < 0.02  # 5 standard errors: 0.5 / sqrt(20,000) = 0.0035


def test_frame_mask_hides_whole_segments():
    keep = draw_frame_masks(300, 64, segments=16, masked=6, generator=generator())
    segments = keep.view(300, 16, 4)
    assert (segments.all(dim=2) | ~segments.any(dim=2)).all()
    assert (~segments.any(dim=2)).sum(dim=1).tolist() == [6] * 300
    assert (keep.float().mean(dim=0) - 10 / 16).abs().max() < 0.15  # every segment is hidden about as often


def test_masks_come_from_the_generator_alone():
    first, second = (draw_joint_masks(9, NTU_25, seeds=5, masked=8, generator=generator()) for _ in range(2))
    assert torch.equal(first, second)
