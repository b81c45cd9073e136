import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scdnet.config import LinearConfig
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features, extract_features
from scdnet.eval.linear import epoch_batches, linear_probe, resolve_probe
from scdnet.results.scores import BEST_ON_TEST
from tests.eval.points import synthetic

CPU = torch.device("cpu")
SMALL = {"probe": "sgd", "batch_size": 16, "optim": {"epochs": 12, "milestones": (6, 9), "lr": 0.5}}


def slow_probe(
    step_inputs, x_test, num_classes: int, config: LinearConfig, seed: int
) -> torch.Tensor:
    """Train as the method describes: plain SGD with momentum, with inputs made at every step."""
    generator = torch.Generator().manual_seed(seed)
    num, width, x_of = step_inputs
    weight = torch.empty(num_classes, width).normal_(0, 0.01, generator=generator).requires_grad_()
    bias = torch.zeros(num_classes, requires_grad=True)
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for epoch in range(config.optim.epochs):
        lr = config.optim.lr * 0.1 ** sum(
            epoch >= milestone for milestone in config.optim.milestones
        )
        for batch in epoch_batches(num, config.batch_size, generator):
            x, y = x_of(batch)
            gradients = torch.autograd.grad(F.cross_entropy(x @ weight.T + bias, y), (weight, bias))
            with torch.no_grad():
                for parameter, gradient, v in zip((weight, bias), gradients, velocity, strict=True):
                    v.mul_(0.9).add_(gradient)
                    parameter.sub_(lr * v)
    return (x_test @ weight.T + bias).detach()


def test_the_probe_is_a_plain_loop_of_sgd():
    train = synthetic(50, seed=0)
    test = synthetic(30, seed=1)
    config = LinearConfig(**SMALL)
    probe = linear_probe(train, test, config, num_classes=3, seed=7, device=CPU)
    inputs = (50, 8, lambda batch: (train.x[batch], train.y[batch]))
    expected = slow_probe(inputs, test.x, 3, config, seed=7)
    torch.testing.assert_close(probe.scores, expected, rtol=1e-4, atol=1e-5)
    right = 100 * (probe.scores.argmax(dim=1) == test.y).double().mean().item()
    assert probe.metrics[BEST_ON_TEST] >= probe.metrics["top1"] == right > 80


def test_stored_features_give_the_numbers_of_running_the_encoder_at_every_step(
    random_inputs, clips
):
    encoder = random_inputs.encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features = extract_features(encoder, clips)
    config = LinearConfig(probe="sgd", batch_size=3, optim={"epochs": 4, "lr": 0.1})
    train = clips.split(train=True)
    test = clips.split(train=False)

    def encode(index: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat(encoder(next(clips.evaluation_views([index]))), dim=1)

    splits = [Features(features.x[rows], features.y[rows]) for rows in (train, test)]
    probe = linear_probe(*splits, config, num_classes=2, seed=0, device=CPU)
    inputs = (len(train), 32, lambda batch: (encode(train[batch]), clips.label[train[batch]]))
    expected = slow_probe(inputs, encode(test), 2, config, seed=0)
    torch.testing.assert_close(probe.scores, expected, rtol=1e-3, atol=1e-4)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_settings_are_those_of_the_method():
    config = LinearConfig()
    optim = config.optim
    # The paper's features have 4096 numbers.
    assert resolve_probe(config, 4096).probe == "sgd"
    assert (config.batch_size, optim.lr, optim.epochs, optim.milestones) == (1024, 2, 80, (50, 70))
    assert (optim.momentum, optim.weight_decay, optim.name) == (0.9, 0, "sgd")


@pytest.mark.parametrize(
    ("probe", "width", "expected"),
    [
        ("auto", 256, "logistic"),
        ("auto", 1023, "logistic"),
        ("auto", 1024, "sgd"),
        ("sgd", 256, "sgd"),
        ("logistic", 4096, "logistic"),
    ],
)
def test_auto_fits_the_width_and_what_is_set_is_kept(probe: str, width: int, expected: str):
    config = LinearConfig(probe=probe, batch_size=5)
    assert resolve_probe(config, width) == LinearConfig(probe=expected, batch_size=5)


def test_every_training_item_is_seen_once_an_epoch():
    batches = epoch_batches(10, 4, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert torch.cat(batches).sort().values.tolist() == list(range(10))


def test_a_probe_that_diverges_is_an_error():
    train = synthetic(50, seed=0)
    config = LinearConfig(**{**SMALL, "optim": {"epochs": 3, "lr": 1e38}})
    with pytest.raises(ScdnetError, match=r"diverged; lower linear\.optim\.lr"):
        linear_probe(
            Features(train.x * 1e30, train.y), train, config, num_classes=3, seed=0, device=CPU
        )


def test_the_classifier_starts_small_and_by_its_seed():
    from scdnet.models.heads import LinearClassifier

    one, two = (
        LinearClassifier(400, 50, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(one.weight, two.weight) and not one.bias.any() and isinstance(one, nn.Linear)
    assert one.weight.std().item() == pytest.approx(0.01, rel=0.05)
