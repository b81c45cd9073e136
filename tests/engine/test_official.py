"""Exactness: numbers computed with the authors' implementation (golden/README.md), loaded from their checkpoint."""

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
from tests.reference import encoder as literal

CHECKPOINT, NUMBERS = "golden/official_small.pth.tar", "golden/official_small.npz"
LETTERS = {"temporal": "t", "spatial": "s", "instance": "i"}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in np.load(shared / NUMBERS).items()}


@pytest.fixture
def model(shared: Path) -> SCDNet:
    sizes = EncoderSizes(embed_dim=32, num_heads=4, dropout=0)
    model = SCDNet(sizes, projection_dim=16, queue_size=32, momentum=0.99)
    model.load_state_dict(scdnet_weights(read_checkpoint(shared / CHECKPOINT).state["state_dict"]))
    return model


class Step(NamedTuple):
    losses: Tensor
    grad_norm: Tensor


def train(model: SCDNet, golden: dict[str, Tensor]) -> list[Step]:
    """The three steps that the golden numbers were taken from."""
    optimizer = torch.optim.SGD(model.query.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    steps = []
    model.train()
    for _ in range(3):
        model.update_momentum()
        query, key = model(golden["q_input"], golden["k_input"])
        losses = contrast_losses(CROSS_DOMAIN_PAIRS, query, key, model.negatives(), 0.2)
        optimizer.zero_grad()
        losses.sum().backward()
        steps.append(
            Step(losses.detach(), get_total_norm(p.grad for p in model.query.parameters()))
        )
        optimizer.step()
        model.enqueue(key)
    return steps


@torch.no_grad()
def heads(side: ProjectedEncoder, clips: Tensor) -> list[Tensor]:
    return list(side.project(clips).values())


def relative_error(own: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest magnitude expected."""
    return ((own - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def test_load_encoder_reproduces_the_features(shared: Path, golden: dict[str, Tensor]):
    out = load_encoder(shared / CHECKPOINT, num_heads=4)(golden["q_input"])
    assert torch.allclose(out.temporal, golden["eval_vt"], atol=1e-4)
    assert torch.allclose(out.spatial, golden["eval_vs"], atol=1e-4)


def test_foreign_files_need_the_number_of_heads(shared: Path):
    with pytest.raises(
        CheckpointError, match="does not say how many attention heads it has; give num_heads"
    ):
        load_encoder(shared / CHECKPOINT)


def test_heads_reproduce_the_projections(model: SCDNet, golden: dict[str, Tensor]):
    model.eval()
    for own, letter in zip(heads(model.query, golden["q_input"]), LETTERS.values(), strict=True):
        assert torch.allclose(own, golden[f"eval_z{letter}"], atol=1e-4)


def test_three_training_steps_are_the_authors(model: SCDNet, golden: dict[str, Tensor]):
    for number, (step, tolerance) in enumerate(
        zip(train(model, golden), (1e-4, 1e-3, 1e-3), strict=True)
    ):
        assert torch.allclose(step.losses, golden[f"step{number}_losses"], rtol=tolerance, atol=0)
        assert step.grad_norm.item() == pytest.approx(
            golden[f"step{number}_grad_norm"].item(), rel=0.01
        )
    for domain, letter in LETTERS.items():
        assert (
            relative_error(model.queues[domain].keys.T[:, :16], golden[f"after_{letter}_queue"])
            < 1e-3
        )
    model.eval()
    for side, prefix, tolerance in (
        (model.query, "after_z", 0.02),
        (model.key, "after_key_z", 1e-3),
    ):
        for own, letter in zip(heads(side, golden["q_input"]), LETTERS.values(), strict=True):
            assert relative_error(own, golden[prefix + letter]) < tolerance


def test_every_weight_of_the_file_is_used(shared: Path):
    theirs = read_checkpoint(shared / CHECKPOINT).state["state_dict"]
    ours = scdnet_weights(theirs)
    assert sum(v.numel() for k, v in ours.items() if "num_batches" not in k) == sum(
        v.numel() for k, v in theirs.items() if "num_batches" not in k
    )


def test_the_literal_version_gives_the_authors_losses(shared: Path, golden: dict[str, Tensor]):
    sizes = EncoderSizes(embed_dim=32, num_heads=4, dropout=0)
    reference = literal.SCDNet(sizes, projection_dim=16, queue_size=32, momentum=0.99).train()
    reference.load_state_dict(read_checkpoint(shared / CHECKPOINT).state["state_dict"])
    optimizer = torch.optim.SGD(
        reference.encoder_q.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
    )
    for number, tolerance in enumerate((1e-4, 1e-3, 1e-3)):
        losses = reference.losses(golden["q_input"], golden["k_input"])
        assert torch.allclose(losses, golden[f"step{number}_losses"], rtol=tolerance, atol=0)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
