"""Exactness: numbers computed with the authors' implementation from their checkpoint.

See golden/README.md beside the numbers.
"""

import copy
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
from scdnet.models.encoder import EncoderSizes
from scdnet.models.heads import ProjectedEncoder
from scdnet.models.scdnet import SCDNet
from scdnet.skeletons import NTU_25
from tests.reference import encoder as reference

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
        query, key = model(golden["q_input"], golden["k_input"])
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
