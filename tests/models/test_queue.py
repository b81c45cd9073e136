import pytest
import torch

from scdnet.models.queue import KeyQueue


def test_queue_starts_with_random_unit_vectors():
    keys = KeyQueue(size=50, dim=7).keys
    assert torch.allclose(keys.norm(dim=1), torch.ones(50))
    assert keys.std() > 0.1


def test_queue_wraps_and_keeps_the_newest():
    queue = KeyQueue(size=5, dim=2)
    queue.push(torch.full((3, 2), 1.0))
    # These fill slots 3, 4, 0, 1; slot 2 still contains a 1.
    queue.push(torch.full((4, 2), 2.0))
    assert queue.keys[:, 0].tolist() == [2, 2, 1, 2, 2]


def test_queue_is_saved_with_its_cursor():
    queue = KeyQueue(size=4, dim=2)
    other = KeyQueue(size=4, dim=2)
    queue.push(torch.ones(3, 2))
    other.load_state_dict(queue.state_dict())
    assert other.cursor == 3
    assert torch.equal(other.keys, queue.keys)


def test_batch_larger_than_the_queue_is_refused():
    with pytest.raises(ValueError, match="batch of 6 keys does not fit a queue of 5"):
        KeyQueue(size=5, dim=2).push(torch.zeros(6, 2))
