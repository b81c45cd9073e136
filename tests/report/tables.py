"""Features made up for tests of reports."""

import numpy as np
import torch

from scdnet.eval.feature_table import FeatureTable
from scdnet.results.record import EncoderRecord
from scdnet.skeletons import NTU_25


def make_table(
    x: np.ndarray, label: list[int], is_train: list[bool], class_names: tuple[str, ...] = ()
) -> FeatureTable:
    """Make the table of sequences s0, s1, ... with features x (N, D)."""
    return FeatureTable(
        store="made_up.h5",
        store_sha256="0" * 64,
        skeleton=NTU_25,
        dataset="made_up",
        class_names=class_names or tuple(f"class {c}" for c in range(max(label) + 1)),
        name=np.array([f"s{i:04}" for i in range(len(label))]),
        label=torch.tensor(label),
        is_train={"xsub": torch.tensor(is_train)},
        encoder=EncoderRecord(
            feature_level=4,
            checkpoint=None,
            checkpoint_sha256=None,
            stream="joint",
            seed=0,
            epoch=1,
        ),
        settings={},
        x=torch.from_numpy(np.asarray(x, dtype=np.float32)),
    )
