"""What all tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.raw.normalize import normalize
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25

pytest_plugins = ["tests.raw_trees"]
torch.set_num_threads(1)  # the models here are small: threads would only wait for one another


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of golden numbers, $SCDNET_SHARED, by default beside the checkout."""
    folder = Path(os.environ.get("SCDNET_SHARED", Path(__file__).parents[1] / ".." / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(
            f"{folder}: no golden numbers; set SCDNET_SHARED to the folder with golden/ and data/"
        )
    return folder


def write_synthetic_store(
    path: Path,
    *,
    skeleton: Skeleton = NTU_25,
    per_split: int = 8,
    classes: int = 2,
    frames: int = 70,
    seed: int = 0,
) -> Path:
    """Write random motion around a pose of each class; subject 1 trains (x-sub), 3 tests.

    All sequences of the benchmark `nobody` are in its test split, those of `everybody` in its
    training split.
    """
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(classes, 2, 1, skeleton.num_joints, 3))
    # The origin is in the middle of the joints, as in a body.
    poses[:, :, :, list(skeleton.center)] = 0
    names = tuple(f"class {number}" for number in range(classes))
    with StoreWriter(
        path,
        skeleton=skeleton,
        dataset="ntu60",
        class_names=names,
        created_by="a test",
    ) as writer:
        for subject in (1, 3):
            for i in range(per_split):
                label = i % classes
                shape = (2, frames + i, skeleton.num_joints, 3)
                motion = poses[label] + 0.3 * rng.normal(size=shape)
                if skeleton.dims == 2:
                    # A score is positive.
                    motion[..., 2] = abs(motion[..., 2])
                name = f"S001C001P{subject:03}R{i + 1:03}A{label + 1:03}"
                writer.append(
                    SkeletonSequence(normalize(motion, skeleton), name, label, subject, 1, 1, i + 1)
                )
        nobody = np.zeros(2 * per_split, dtype=bool)
        splits = {"xsub": writer.table().subject == 1, "nobody": nobody, "everybody": ~nobody}
        writer.finish(splits)
    return path


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """A made-up store of 8 training and 8 test sequences of 2 classes, 70 frames and more each."""
    return write_synthetic_store(tmp_path / "synthetic.h5")


def make_small_config(store: Path, runs_dir: Path) -> Config:
    """A run on `store` that takes a second or two."""
    return Config(
        name="small",
        runs_dir=runs_dir,
        device="cpu",
        data={"store": store, "batch_size": 4, "num_frames": 16},
        model={
            "base_channels": 8,
            "embed_dim": 16,
            "num_heads": 2,
            "projection_dim": 8,
            "queue_size": 4,
        },
        optim={"epochs": 2},
        linear={"probe": "sgd"},
    )


@pytest.fixture
def small_config(store_path: Path, tmp_path: Path) -> Config:
    """A run on `store_path` that takes a second or two."""
    return make_small_config(store_path, tmp_path / "runs")
