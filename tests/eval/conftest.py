"""A small pretraining that the tests of evaluations share; none of them writes to it."""

from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.inputs import Inputs
from tests.conftest import make_small_config, write_synthetic_store
from tests.eval.points import inputs_of


@pytest.fixture(scope="session")
def trained_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The config of the checkpoint: one epoch on a store of 16 sequences."""
    directory = tmp_path_factory.mktemp("trained")
    config = make_small_config(
        write_synthetic_store(directory / "synthetic.h5"), directory / "runs"
    )
    return config.model_copy(update={"optim": config.optim.model_copy(update={"epochs": 1})})


@pytest.fixture(scope="session")
def checkpoint(trained_config: Config) -> Path:
    return pretrain(trained_config)


@pytest.fixture(scope="session")
def random_inputs(trained_config: Config) -> Inputs:
    """The inputs of the baseline random-init; tests copy its encoder before they train it."""
    return inputs_of(trained_config)


@pytest.fixture(scope="session")
def random_table(random_inputs: Inputs) -> FeatureTable:
    return random_inputs.extract()


@pytest.fixture(scope="session")
def clips(trained_config: Config) -> Clips:
    return load_clips(trained_config.data, "joint", torch.device("cpu"))
