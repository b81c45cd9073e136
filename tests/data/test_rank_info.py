import pytest
import torch

from scdnet.data.rank_info import RankInfo, contiguous_ranks


def test_a_rank_takes_its_rows_of_each_copy_of_a_batch():
    x = torch.arange(12)
    assert RankInfo(1, 3).rows(x, copies=2).tolist() == [2, 3, 8, 9]
    assert RankInfo(0, 1).rows(x, copies=2).tolist() == x.tolist()


@pytest.mark.parametrize(("num", "size"), [(10, 3), (4, 4), (7, 1)])
def test_contiguous_ranks_are_even_and_sorted(num: int, size: int):
    ranks = contiguous_ranks(num, size)
    counts = ranks.bincount(minlength=size)
    assert (ranks.diff() >= 0).all()
    assert counts.sum() == num
    assert counts.max() - counts.min() <= 1
