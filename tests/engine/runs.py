"""What tests of training runs share."""

import json
import socket
from pathlib import Path

import torch

from scdnet.config import Config
from scdnet.engine.checkpoint import read_checkpoint


def changed(config: Config, **values) -> Config:
    """The config with top-level values, or sections as dicts of values, replaced."""
    tree = config.model_dump()
    for key, value in values.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) else value
    return Config.model_validate(tree)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path).state["model"]


def assert_same_weights(first: Path, second: Path) -> None:
    a, b = weights_of(first), weights_of(second)
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def metrics_of(config: Config) -> list[dict]:
    return [
        json.loads(line) for line in (config.run_dir / "metrics.jsonl").read_text().splitlines()
    ]


def assert_same_state(first: Path, second: Path) -> None:
    """Checkpoints of runs that differ in their names: the same to the bit in all that goes on from them."""
    a, b = (flat(read_checkpoint(path).state) for path in (first, second))
    a, b = ({key: x for key, x in state.items() if key[0] != "config"} for state in (a, b))
    assert a.keys() == b.keys()
    assert len(a) > 100
    assert [key for key in a if not same(a[key], b[key])] == []


def flat(tree: object, key: tuple = ()) -> dict[tuple, object]:
    """The leaves of nested dicts and lists, by the keys that lead there."""
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list | tuple)
        else None
    )
    if items is None:
        return {key: tree}
    return {
        leaf: value for name, branch in items for leaf, value in flat(branch, (*key, name)).items()
    }


def same(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def free_port() -> str:
    """A port on which ranks may meet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
