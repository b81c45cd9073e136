"""Facts about ready-made sequences that their NTU RGB+D names contain."""

from collections.abc import Mapping, Sequence

import numpy as np

from scdnet.data.store import SequenceTable
from scdnet.raw.datasets import NTU_DATASETS, NtuName, class_names, parse_ntu_name

# Some lists have it behind each name.
SUFFIX = ".skeleton"


def parse_numbers(name: str) -> dict[str, int]:
    """Return setup, camera, subject and replication in the name of a recording of NTU RGB+D.

    Any other name has none of them.
    """
    numbers = parse_ntu_name(name)
    if numbers is None:
        return {}
    return {key: value for key, value in numbers._asdict().items() if key != "action"}


def find_dataset(names: Sequence[str]) -> str | None:
    """Return "ntu60" or "ntu120", the smaller one that has all names; None if neither has."""
    parsed = [parse_ntu_name(name) for name in names]
    if not parsed or None in parsed:
        return None
    return next((dataset for dataset in NTU_DATASETS if _has_all(dataset, parsed)), None)


def _has_all(dataset: str, names: Sequence[NtuName | None]) -> bool:
    last_action = len(class_names(dataset))
    last_setup = NTU_DATASETS[dataset].last_setup
    return all(name and name.action <= last_action and name.setup <= last_setup for name in names)


def official_splits(names: Sequence[str], dataset: str) -> dict[str, Mapping[str, bool]]:
    """Return by name, for each benchmark of a dataset, whether a recording is for training.

    All names must be of the form SxxxCxxxPxxxRxxxAxxx.
    """
    columns = [parse_ntu_name(name) or NtuName(0, 0, 0, 0, 0) for name in names]
    setup, camera, subject, replication, action = np.array(columns, np.int64).reshape(-1, 5).T
    table = SequenceTable(np.array(names), action - 1, subject, camera, setup, replication)
    sides = {
        benchmark: rule(table).tolist() for benchmark, rule in NTU_DATASETS[dataset].rules.items()
    }
    return {
        name: {benchmark: is_train[row] for benchmark, is_train in sides.items()}
        for row, name in enumerate(names)
    }
