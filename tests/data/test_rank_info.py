import pytest
import torch

from scdnet.data.rank_info import RankInfo, contiguous_ranks, sample_batches


def test_rows_of_two_copies_of_a_batch():
    x = torch.arange(12)  # six rows, then once more
    assert RankInfo(1, 3).rows(x, copies=2).tolist() == [2, 3, 8, 9]
    assert RankInfo(0, 1).rows(x, copies=2).tolist() == x.tolist()


@pytest.mark.parametrize(("num", "size"), [(10, 3), (4, 4), (7, 1)])
def test_stretches_are_even_and_rise(num: int, size: int):
    ranks = contiguous_ranks(num, size)
    counts = ranks.bincount(minlength=size)
    assert (ranks.diff() >= 0).all()
    assert counts.sum() == num
    assert counts.max() - counts.min() <= 1


def test_batches_are_an_order_of_the_sequences_cut_up():
    train = torch.arange(100, 110)
    order = train[torch.randperm(10, generator=torch.Generator().manual_seed(0))]
    batches = sample_batches(train, 4, torch.Generator().manual_seed(0))
    assert torch.cat(batches).tolist() == order[:8].tolist()
