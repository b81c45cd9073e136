"""Helpers of tests that train."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.data.hiding import sample_hidden
from scdnet.engine.build import build_objective
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.train import plan
from scdnet.engine.train import start as starting
from scdnet.engine.train.plan import Plan
from scdnet.skeletons import NTU_25

# Takes the number of a training step, from 1 on.
Hook = Callable[[int], None]
# Metrics that differ from run to run.
TIMES = {"seconds", "cpu_seconds", "step_seconds", "clips_per_second", "data_time_fraction"}


def changed(config: Config, **values) -> Config:
    """Return the config with top-level values, or sections as dicts of values, replaced."""
    tree = config.model_dump()
    for key, value in values.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    return Config.model_validate(tree)


def synthetic_inputs(config: Config, *, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Return random inputs of a step: views of which the first clip alone has two bodies.

    What is hidden follows if the objective predicts it.
    """
    objective = build_objective(config)
    data = config.data
    generator = torch.Generator().manual_seed(seed)
    shape = (data.batch_size, 3, data.num_frames, 25, data.num_bodies)
    views = torch.randn(objective.num_views, *shape, generator=generator)
    views[:, 1:, ..., 1:] = 0
    if objective.latent is None:
        return views.unbind()
    hidden = sample_hidden(
        data.batch_size,
        data.num_frames,
        latent=config.latent,
        skeleton=NTU_25,
        generator=generator,
    )
    return (*views, *hidden)


def make_plan(*, steps_per_epoch: int, **lengths: int) -> Plan:
    """Return the plan of a run of so many `epochs`, or `steps`, of batches of 2."""
    config = Config(data={"batch_size": 2}, optim=lengths)
    return plan.make_plan(config, 2 * steps_per_epoch, {})


def call_before_each_step(patch: pytest.MonkeyPatch, hook: Hook) -> None:
    """Let `pretrain` call `hook` before each training step."""
    original = starting.train_step
    num_steps = 0

    def step(*args: object, **kwargs: object) -> torch.Tensor:
        nonlocal num_steps
        num_steps += 1
        hook(num_steps)
        return original(*args, **kwargs)

    patch.setattr(starting, "train_step", step)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path).state["model"]


def assert_same_weights(first: Path, second: Path) -> None:
    a = weights_of(first)
    b = weights_of(second)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def metrics_of(config: Config) -> list[dict]:
    lines = (config.run_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def without_times(config: Config) -> list[dict]:
    return [
        {key: value for key, value in line.items() if key not in TIMES}
        for line in metrics_of(config)
    ]


def assert_same_state(first: Path, second: Path) -> None:
    """Check that all that a run resumes from is bit-identical; the configs may differ."""
    a, b = (flatten(read_checkpoint(path).state) for path in (first, second))
    a, b = ({key: x for key, x in state.items() if key[0] != "config"} for state in (a, b))
    assert a.keys() == b.keys()
    assert len(a) > 100
    assert [key for key in a if not is_same(a[key], b[key])] == []


def flatten(tree: object, key: tuple = ()) -> dict[tuple, object]:
    """Return the leaves of nested dicts and lists by the keys that lead to them."""
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)
    else:
        return {key: tree}
    leaves = {}
    for name, branch in items:
        leaves |= flatten(branch, (*key, name))
    return leaves


def is_same(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def free_port() -> str:
    """Return a port on which ranks can connect."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
