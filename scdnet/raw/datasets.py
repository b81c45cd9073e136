"""Published facts of NTU RGB+D and PKU-MMD: class names, missing recordings, splits."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.data.store import SequenceTable

# Table of N sequences -> (N,) bool, True for those of the training split.
SplitRule = Callable[[SequenceTable], np.ndarray]

NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)

# Dataset -> file of the class names, lines `id<TAB>name`, and how many of its lines. Part II of
# PKU-MMD uses 41 of 51. Source: the release pages of the datasets.
CLASSES = {
    "ntu60": ("ntu_classes.tsv", 60),
    "ntu120": ("ntu_classes.tsv", 120),
    "pku1": ("pku_classes.tsv", 51),
    "pku2": ("pku_classes.tsv", 51),
}

# Source: Shahroudy et al. 2016, sect. 3.2.1.
NTU60_TRAIN_SUBJECTS = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
# Source: Liu et al. 2019, sect. 3.3.
NTU120_TRAIN_SUBJECTS = (
    *NTU60_TRAIN_SUBJECTS, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78,
    80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
)  # fmt: skip


class NtuName(NamedTuple):
    """The numbers in SxxxCxxxPxxxRxxxAxxx; actions count from 1."""

    setup: int
    camera: int
    subject: int
    replication: int
    action: int


class SplitSizes(NamedTuple):
    """Numbers of sequences in the two splits of a benchmark."""

    train: int
    test: int


@dataclass(frozen=True)
class DatasetFacts:
    """Published facts of NTU RGB+D 60 or 120; rules and sizes are by benchmark.

    The missing list of NTU-120 contains that of NTU-60, whose recordings end with `last_setup`.
    """

    last_setup: int
    rules: Mapping[str, SplitRule]
    sizes: Mapping[str, SplitSizes]


NTU_DATASETS = {
    "ntu60": DatasetFacts(
        last_setup=17,
        rules={
            "xsub": lambda table: np.isin(table.subject, NTU60_TRAIN_SUBJECTS),
            # Source: Shahroudy et al. 2016, sect. 3.2.2.
            "xview": lambda table: np.isin(table.camera, (2, 3)),
        },
        sizes={"xsub": SplitSizes(40_091, 16_487), "xview": SplitSizes(37_646, 18_932)},
    ),
    "ntu120": DatasetFacts(
        last_setup=32,
        rules={
            "xsub": lambda table: np.isin(table.subject, NTU120_TRAIN_SUBJECTS),
            # Even setups train. Source: Liu et al. 2019, sect. 3.3.
            "xset": lambda table: table.setup % 2 == 0,
        },
        # Some papers test on 50,922 for x-sub, which makes three sequences more than x-set has.
        sizes={"xsub": SplitSizes(63_026, 50_919), "xset": SplitSizes(54_468, 59_477)},
    ),
}


def parse_ntu_name(name: str) -> NtuName | None:
    """Parse the name of a recording; return None if it is not SxxxCxxxPxxxRxxxAxxx."""
    match = NTU_NAME.fullmatch(name)
    return NtuName(*map(int, match.groups())) if match else None


@cache
def class_names(dataset: str) -> tuple[str, ...]:
    """Return the class names of "ntu60", "ntu120", "pku1" or "pku2"; label i is action i + 1."""
    file, count = CLASSES[dataset]
    lines = Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[1] for line in lines[:count])


@cache
def missing_names(dataset: str) -> frozenset[str]:
    """Return the recordings of "ntu60" (302) or "ntu120" (535) that lack complete skeletons."""
    # Source: the lists of the NTU RGB+D release page.
    names = Path(__file__).with_name("ntu_missing.txt").read_text(encoding="utf-8").split()
    return frozenset(name for name in names if int(name[1:4]) <= NTU_DATASETS[dataset].last_setup)
