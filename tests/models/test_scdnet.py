import pytest
import torch

from scdnet.models.encoder import EncoderSizes
from scdnet.models.scdnet import KeyQueue, SCDNet
from scdnet.skeletons import NTU_25

SIZES = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=8, num_bodies=1)


def make_model() -> SCDNet:
    torch.manual_seed(0)
    return SCDNet(SIZES, NTU_25, projection_dim=4, queue_size=6, momentum=0.9)


def test_key_encoder_starts_as_a_copy_without_gradient():
    model = make_model()
    for query, key in zip(model.query.parameters(), model.key.parameters(), strict=True):
        assert torch.equal(query, key)
        assert not key.requires_grad


def test_momentum_moves_weights_and_leaves_statistics():
    model = make_model()
    for parameter in model.query.parameters():
        parameter.data.add_(1.0)
    for buffer in model.query.buffers():
        buffer.add_(1)
    before = {name: value.clone() for name, value in model.key.state_dict().items()}
    model.update_momentum()
    parameters = dict(model.key.named_parameters())
    for name, value in model.key.state_dict().items():
        # 0.9 * old + 0.1 * (old + 1) is old + 0.1.
        moved = 0.1 if name in parameters else 0.0
        assert torch.allclose(value.double(), before[name].double() + moved, atol=1e-6), name


def test_projections_have_unit_length_and_only_queries_a_gradient():
    clips = torch.randn(4, 3, 8, 25, 1)
    query, key, _ = make_model().train()(clips, clips)
    for z in (*query.values(), *key.values()):
        assert torch.allclose(z.norm(dim=1), torch.ones(4), atol=1e-5)
    assert all(z.requires_grad for z in query.values())
    assert not any(z.requires_grad for z in key.values())


def test_both_encoders_keep_batch_norm_statistics_of_their_own():
    model = make_model().train()
    model(torch.randn(4, 3, 8, 25, 1), 5 + torch.randn(4, 3, 8, 25, 1))
    query, key = (
        side.encoder.temporal_stem.input_norm.running_mean for side in (model.query, model.key)
    )
    assert (key - query).abs().min() > 0.1


def test_enqueue_pushes_each_domain_into_its_own_queue():
    model = make_model()
    keys = {name: torch.full((2, 4), float(value)) for value, name in enumerate(model.queues)}
    model.enqueue(keys)
    for name, own in model.negatives().items():
        assert torch.equal(own[:2], keys[name])
        assert not torch.equal(own[2:4], keys[name])


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
