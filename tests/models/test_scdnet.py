import torch

from scdnet.models.encoder import EncoderSizes
from scdnet.models.scdnet import SCDNet

SIZES = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=8, num_bodies=1)


def make_model() -> SCDNet:
    torch.manual_seed(0)
    return SCDNet(SIZES, projection_dim=4, queue_size=6, momentum=0.9)


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
    query, key = make_model().train()(clips, clips)
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
