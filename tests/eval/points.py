"""Synthetic features, and those of a config."""

from pathlib import Path

import torch

from scdnet.config import Config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.eval.features import Features
from scdnet.eval.inputs import Inputs, build_inputs
from scdnet.results.record import Baseline


def synthetic(n: int, seed: int, classes: int = 3) -> Features:
    """Return points around one direction per class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    return Features(torch.eye(classes, 8)[y] + 0.3 * torch.randn(n, 8, generator=generator), y)


def inputs_of(config: Config, source: Path | Baseline = "random-init") -> Inputs:
    """Build the inputs of an evaluation on the CPU."""
    return next(build_inputs([source], config, torch.device("cpu"), SINGLE_PROCESS))
