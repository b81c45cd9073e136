"""Exactness: numbers computed with the authors' implementation from their checkpoint.

See golden/README.md beside the numbers.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from scdnet import load_encoder
from scdnet.engine.checkpoint import CheckpointError, read_checkpoint
from scdnet.engine.official import scdnet_weights
from scdnet.losses import CROSS_DOMAIN_PAIRS, contrast_losses
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.models.heads import ProjectedEncoder
from scdnet.models.scdnet import SCDNet
from scdnet.skeletons import KINECT_V1_20, NTU_25
from tests.reference import encoder as reference

SMALL = EncoderSizes(base_channels=8, embed_dim=16, num_heads=2, num_frames=16)
CHECKPOINT = "golden/official_small.pth.tar"
NUMBERS = "golden/official_small.npz"
LETTERS = {"temporal": "t", "spatial": "s", "instance": "i"}
SIZES = EncoderSizes(embed_dim=32, num_heads=4, dropout=0)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in np.load(shared / NUMBERS).items()}


@pytest.fixture(scope="module")
def official_weights(shared: Path) -> dict[str, Tensor]:
    return read_checkpoint(shared / CHECKPOINT).state["state_dict"]


@pytest.fixture(scope="module")
def model(official_weights: dict[str, Tensor]) -> SCDNet:
    model = SCDNet(SIZES, NTU_25, projection_dim=16, queue_size=32, momentum=0.99)
    model.load_state_dict(scdnet_weights(official_weights))
    return model


class Step(NamedTuple):
    losses: Tensor
    grad_norm: Tensor


def train(model: SCDNet, golden: dict[str, Tensor]) -> list[Step]:
    """Take the three steps that the golden numbers come from."""
    optimizer = torch.optim.SGD(model.query.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    steps = []
    model.train()
    for _ in range(3):
        model.update_momentum()
        query, key, _ = model(golden["q_input"], golden["k_input"])
        losses = contrast_losses(CROSS_DOMAIN_PAIRS, query, key, model.negatives(), 0.2)
        optimizer.zero_grad()
        losses.sum().backward()
        grad_norm = get_total_norm(p.grad for p in model.query.parameters())
        steps.append(Step(losses.detach(), grad_norm))
        optimizer.step()
        model.enqueue(key)
    return steps


@torch.no_grad()
def project(side: ProjectedEncoder, clips: Tensor) -> dict[str, Tensor]:
    """Return the outputs of the heads by the authors' letters."""
    return {LETTERS[name]: z for name, z in side.project(clips).items()}


def relative_error(own: Tensor, expected: Tensor) -> float:
    """Return the largest difference as a fraction of the largest magnitude expected."""
    return ((own - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def test_load_encoder_reproduces_the_features(shared: Path, golden: dict[str, Tensor]):
    out = load_encoder(shared / CHECKPOINT, num_heads=4)(golden["q_input"])
    assert torch.allclose(out.temporal, golden["eval_vt"], atol=1e-4)
    assert torch.allclose(out.spatial, golden["eval_vs"], atol=1e-4)


def test_foreign_files_need_the_number_of_heads(shared: Path):
    with pytest.raises(CheckpointError, match="does not state its number of attention heads"):
        load_encoder(shared / CHECKPOINT)


def test_heads_reproduce_the_projections(model: SCDNet, golden: dict[str, Tensor]):
    model.eval()
    for letter, own in project(model.query, golden["q_input"]).items():
        assert torch.allclose(own, golden[f"eval_z{letter}"], atol=1e-4)


def test_three_training_steps_are_the_authors(model: SCDNet, golden: dict[str, Tensor]):
    model = copy.deepcopy(model)
    steps = train(model, golden)
    for number, (step, tolerance) in enumerate(zip(steps, (1e-4, 1e-3, 1e-3), strict=True)):
        assert torch.allclose(step.losses, golden[f"step{number}_losses"], rtol=tolerance, atol=0)
        expected = golden[f"step{number}_grad_norm"].item()
        assert step.grad_norm.item() == pytest.approx(expected, rel=0.01)
    for domain, letter in LETTERS.items():
        queue = model.queues[domain].keys.T[:, :16]
        assert relative_error(queue, golden[f"after_{letter}_queue"]) < 1e-3
    model.eval()
    sides = ((model.query, "after_z", 0.02), (model.key, "after_key_z", 1e-3))
    for side, prefix, tolerance in sides:
        for letter, own in project(side, golden["q_input"]).items():
            assert relative_error(own, golden[prefix + letter]) < tolerance


def test_every_weight_of_the_file_is_used(official_weights: dict[str, Tensor]):
    def num_weights(state: dict[str, Tensor]) -> int:
        return sum(x.numel() for name, x in state.items() if "num_batches" not in name)

    assert num_weights(scdnet_weights(official_weights)) == num_weights(official_weights)


def test_the_reference_implementation_gives_the_authors_losses(
    official_weights: dict[str, Tensor], golden: dict[str, Tensor]
):
    """Two steps: the second losses depend on gradients, momentum and queues of the first."""
    model = reference.SCDNet(SIZES, projection_dim=16, queue_size=32, momentum=0.99).train()
    model.load_state_dict(official_weights)
    optimizer = torch.optim.SGD(
        model.encoder_q.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
    )
    losses = model.losses(golden["q_input"], golden["k_input"])
    assert torch.allclose(losses, golden["step0_losses"], rtol=1e-4, atol=0)
    losses.sum().backward()
    optimizer.step()
    with torch.no_grad():
        losses = model.losses(golden["q_input"], golden["k_input"])
    assert torch.allclose(losses, golden["step1_losses"], rtol=1e-3, atol=0)


Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def small_weights() -> Weights:
    """Weights of a small model under the authors' names."""
    torch.manual_seed(0)
    return reference.SCDNet(SMALL, projection_dim=8, queue_size=4, momentum=0.99).state_dict()


def downstream(weights: Weights, prefix: str = "encoder.") -> Weights:
    """Return the weights as the authors' linear probe and fine-tuning write them."""
    start = "encoder_q.encoder."
    own = {prefix + k.removeprefix(start): x for k, x in weights.items() if k.startswith(start)}
    return {**own, "fc.weight": torch.zeros(60, 32), "fc.bias": torch.zeros(60)}


def wrapped(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


# How a file contains the weights: a function of the weights of a pretraining.
FILES: dict[str, Callable[[Weights], object]] = {
    "pretraining": lambda w: {"epoch": 451, "state_dict": w, "optimizer": {}},
    "pretraining, bare": lambda w: w,
    "pretraining of several GPUs": lambda w: {"state_dict": wrapped(w, "module.")},
    "pretraining of several GPUs, bare": lambda w: wrapped(w, "module."),
    "wrapped twice": lambda w: {"state_dict": wrapped(w, "module.module.")},
    "compiled": lambda w: {"state_dict": wrapped(w, "module._orig_mod.")},
    "downstream": lambda w: {"epoch": 80, "state_dict": downstream(w), "best_acc1": 86.6},
    "downstream, bare": downstream,
    "downstream of several GPUs": lambda w: {"state_dict": wrapped(downstream(w), "module.")},
    "downstream of several GPUs, bare": lambda w: wrapped(downstream(w), "module."),
    "encoder alone": lambda w: downstream(w, prefix=""),
    "encoder alone of several GPUs": lambda w: wrapped(downstream(w, prefix=""), "module."),
}


@torch.no_grad()
@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_the_authors_files_load_however_they_contain_the_encoder(
    small_weights: Weights, tmp_path: Path, content: Callable[[Weights], object]
):
    torch.save(content(small_weights), tmp_path / "foreign.pth.tar")
    encoder = load_encoder(tmp_path / "foreign.pth.tar", num_heads=2)
    slow = reference.Encoder(SMALL)
    slow.load_state_dict(
        {
            k.removeprefix("encoder."): x
            for k, x in downstream(small_weights).items()
            if "fc" not in k
        }
    )
    clips = torch.randn(3, 3, 16, 25, 2, generator=torch.Generator().manual_seed(0))
    for own, expected in zip(encoder(clips), slow.eval()(clips), strict=True):
        assert torch.allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "query.encoder.", "module.query.encoder."])
def test_our_weights_load_without_our_checkpoint_around_them(tmp_path: Path, prefix: str):
    encoder = DualPathEncoder(SMALL, NTU_25)
    torch.save(wrapped(encoder.state_dict(), prefix), tmp_path / "bare.pt")
    loaded = load_encoder(tmp_path / "bare.pt", num_heads=2)
    assert loaded.sizes == SMALL
    for name, value in encoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_bare_weights_of_other_joints_state_no_skeleton(tmp_path: Path):
    torch.save(DualPathEncoder(SMALL, KINECT_V1_20).state_dict(), tmp_path / "bare.pt")
    message = r"bare\.pt: weights for 20 joints, but expected 25 of ntu25, as the file states no"
    with pytest.raises(CheckpointError, match=message):
        load_encoder(tmp_path / "bare.pt", num_heads=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"conv1.weight": torch.zeros(1)}}, "Its first entries are conv1.weight"),
        ({"state_dict": 3, "epoch": 1}, "Its first entries are state_dict, epoch"),
        ({"net": {}, "loss": 1.0}, "Its first entries are net, loss"),
        ({}, "Its first entries are nothing"),
        ([1, 2], "Its first entries are nothing"),
        ({"encoder.gcn_t.data_bn.weight": torch.zeros(1)}, "do not fit an encoder with 2 heads"),
        ({"encoder_k.encoder.gcn_t.data_bn.weight": torch.zeros(1)}, "no query encoder"),
    ],
)
def test_files_without_a_query_encoder_are_refused_by_what_they_contain(
    tmp_path: Path, content: object, message: str
):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=rf"other\.pth: .*{message}"):
        load_encoder(tmp_path / "other.pth", num_heads=2)
