import pytest
import torch

from scdnet.engine.train.epoch import Epoch
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
