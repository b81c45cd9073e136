import pytest
import torch
from torch import Tensor

from scdnet.data.rank_info import Share, deal, draw_batches, stretches


def drawn(hands: list[Tensor], batch_size: int, *, seed: int = 0) -> list[Tensor]:
    return list(draw_batches(hands, batch_size, torch.Generator().manual_seed(seed)))


def test_rows_of_two_copies_of_a_batch():
    x = torch.arange(12)  # six rows, then once more
    assert Share(1, 3).rows(x, copies=2).tolist() == [2, 3, 8, 9]
    assert Share(0, 1).rows(x, copies=2).tolist() == x.tolist()


@pytest.mark.parametrize(("num", "size"), [(10, 3), (4, 4), (7, 1)])
def test_stretches_are_even_and_rise(num: int, size: int):
    ranks = stretches(num, size)
    counts = ranks.bincount(minlength=size)
    assert (ranks.diff() >= 0).all()
    assert counts.sum() == num
    assert counts.max() - counts.min() <= 1


def test_each_split_is_dealt_out_evenly_and_mixed():
    is_train = torch.arange(50) < 29
    holder = deal(is_train, 3)
    for split, counts in ((is_train, [9, 10, 10]), (~is_train, [7, 7, 7])):
        assert sorted(holder[split].bincount(minlength=3).tolist()) == counts
    assert not torch.equal(holder[is_train], torch.arange(29) % 3)
    assert torch.equal(deal(is_train, 3), holder)  # on every rank


def test_batches_of_one_hand_are_an_order_of_it_cut_up():
    train = torch.arange(100, 110)
    order = train[torch.randperm(10, generator=torch.Generator().manual_seed(0))]
    assert torch.cat(drawn([train], 4)).tolist() == order[:8].tolist()


def test_batches_of_several_hands_have_rows_of_each_in_turn():
    hands = [torch.arange(7), torch.arange(100, 106)]
    batches = drawn(hands, 4)
    assert len(batches) == 3  # 13 // 4
    for batch in batches:
        assert (batch[:2] < 100).all()
        assert (batch[2:] >= 100).all()
    assert len(torch.cat(batches).unique()) == 12  # none twice
    assert torch.cat(drawn(hands, 4, seed=1)).tolist() != torch.cat(batches).tolist()
