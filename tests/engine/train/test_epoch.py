import pytest
import torch

from scdnet.engine.train.epoch import Epoch, draw_sequences
from scdnet.errors import ScdnetError


def make_epoch(number: int = 0, *, seed: int = 0) -> Epoch:
    return Epoch(number, torch.arange(10, 30), seed=seed, batch_size=6)


def test_an_epoch_has_each_sequence_once_without_an_incomplete_batch():
    batches = torch.stack(make_epoch().batches)
    # Two of the 20 sequences are left over.
    assert batches.shape == (3, 6)
    assert len(set(batches.flatten().tolist())) == 18
    assert batches.min() >= 10


def test_seed_and_number_decide_the_order():
    first, again, second = (
        torch.cat(epoch.batches).tolist() for epoch in (make_epoch(), make_epoch(), make_epoch(1))
    )
    assert first == again != second
    assert torch.cat(make_epoch(seed=1).batches).tolist() != first


def test_an_epoch_continues_where_it_stood():
    whole = make_epoch()
    begun = make_epoch()
    rest = make_epoch()
    for epoch in (whole, begun):
        torch.rand(3, generator=epoch.generator)
        epoch.steps += 1
    rest.load_state_dict(begun.state_dict())
    expected = [batch.tolist() for batch in whole.batches[1:]]
    assert [batch.tolist() for batch in rest.remaining] == expected
    drawn, again = (torch.rand(3, generator=epoch.generator) for epoch in (rest, whole))
    assert torch.equal(drawn, again)


def test_the_state_of_an_epoch_of_another_length_is_refused():
    state = {**make_epoch().state_dict(), "steps": 4}
    with pytest.raises(ScdnetError, match="cannot continue after step 4 of 3"):
        make_epoch().load_state_dict(state)


# Two stores, of 20 and of 3 sequences.
HALVES = (0.5, 0.5)
STORES = (torch.arange(20), torch.tensor([100, 101, 102]))


def draw(number: int, shares: tuple[float, ...] | None, *, size: int = 12, seed: int = 0):
    return draw_sequences(STORES, shares, number, size=size, seed=seed)


def test_without_shares_an_epoch_has_all_sequences_of_all_stores():
    for number in range(2):
        assert draw(number, None).tolist() == [*range(20), 100, 101, 102]


@pytest.mark.parametrize(
    ("shares", "counts"),
    [((1 / 2, 1 / 2), (6, 6)), ((3 / 4, 1 / 4), (9, 3)), ((1 / 6, 5 / 6), (2, 10))],
)
def test_an_epoch_has_the_share_of_each_store(shares: tuple[float, ...], counts: tuple[int, ...]):
    for number in range(5):
        drawn = draw(number, shares)
        assert ((drawn < 100).sum(), (drawn >= 100).sum()) == counts


@pytest.mark.parametrize("shares", [(1 / 2, 1 / 2), (5 / 6, 1 / 6), (1 / 6, 5 / 6)])
def test_sequences_of_a_store_are_drawn_equally_often_at_any_time(shares: tuple[float, ...]):
    drawn = torch.empty(0, dtype=torch.long)
    for number in range(7):
        drawn = torch.cat([drawn, draw(number, shares)])
        for rows in STORES:
            counts = (drawn[:, None] == rows).sum(dim=0)
            assert counts.max() - counts.min() <= 1
    # Nothing is left out for good.
    assert set(drawn[drawn >= 100].tolist()) == {100, 101, 102}


def test_seed_and_number_decide_what_is_drawn():
    assert draw(3, HALVES).tolist() == draw(3, HALVES).tolist()
    assert draw(3, HALVES).tolist() != draw(3, HALVES, seed=1).tolist()
    # The passes over a store have orders of their own, and so have equally long stores.
    passes = [draw(number, HALVES, size=6)[3:].tolist() for number in range(8)]
    assert len(set(map(tuple, passes))) > 1
    alike = draw_sequences((torch.arange(20), torch.arange(20)), HALVES, 0, size=40, seed=0)
    assert alike[:20].tolist() != alike[20:].tolist()


def test_batches_of_shares_mix_the_stores():
    sequences = draw(0, HALVES, size=40)
    batches = Epoch(0, sequences, seed=0, batch_size=8).batches
    assert sorted(torch.cat(batches).tolist()) == sorted(sequences.tolist())
    assert sum(0 < (batch >= 100).sum() < 8 for batch in batches) >= 4
