"""The classes of NTU RGB+D and PKU-MMD; of NTU also names, missing recordings, and who trains on which benchmark."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.data.store import SequenceTable

Rule = Callable[[SequenceTable], np.ndarray]  # sequences (N) -> bool (N,), True = training split

NTU_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
NTU_CLASSES, PKU_CLASSES = (
    "ntu_classes.tsv",
    "pku_classes.tsv",
)  # id<TAB>name. Source: the release pages
CLASSES = {  # the file that lists them, and how many of its lines; part II of PKU-MMD uses 41 of part I's
    "ntu60": (NTU_CLASSES, 60),
    "ntu120": (NTU_CLASSES, 120),
    "pku1": (PKU_CLASSES, 51),
    "pku2": (PKU_CLASSES, 51),
}
MISSING_FILE = Path(__file__).with_name(
    "ntu_missing.txt"
)  # 535 names. Source: the lists of the NTU RGB+D release page

# Source: Shahroudy et al. 2016, sect. 3.2.1
NTU60_TRAIN_SUBJECTS = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
NTU60_TRAIN_CAMERAS = (2, 3)  # Source: the same, sect. 3.2.2
# Source: Liu et al. 2019, sect. 3.3
NTU120_TRAIN_SUBJECTS = (
    *NTU60_TRAIN_SUBJECTS, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78,
    80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
)  # fmt: skip


class NtuName(NamedTuple):
    """The numbers in SxxxCxxxPxxxRxxxAxxx."""

    setup: int
    camera: int
    subject: int
    replication: int
    action: int  # from 1


class SplitSizes(NamedTuple):
    """Numbers of sequences."""

    train: int
    test: int


@dataclass(frozen=True)
class DatasetFacts:
    """What is published about one of the NTU data sets."""

    last_setup: int  # of its recordings; the missing list of NTU-120 holds that of NTU-60
    rules: Mapping[str, Rule]  # by benchmark
    sizes: Mapping[str, SplitSizes]  # by benchmark


NTU_DATASETS = {
    "ntu60": DatasetFacts(
        last_setup=17,
        rules={
            "xsub": lambda table: np.isin(table.subject, NTU60_TRAIN_SUBJECTS),
            "xview": lambda table: np.isin(table.camera, NTU60_TRAIN_CAMERAS),
        },
        sizes={"xsub": SplitSizes(40_091, 16_487), "xview": SplitSizes(37_646, 18_932)},
    ),
    "ntu120": DatasetFacts(
        last_setup=32,
        rules={
            "xsub": lambda table: np.isin(table.subject, NTU120_TRAIN_SUBJECTS),
            "xset": lambda table: (
                table.setup % 2 == 0
            ),  # Source: Liu et al. 2019, sect. 3.3: even setups train
        },
        # some papers have 50,922 to test on x-sub, which are three sequences more than x-set has in all
        sizes={"xsub": SplitSizes(63_026, 50_919), "xset": SplitSizes(54_468, 59_477)},
    ),
}


def parse_ntu_name(name: str) -> NtuName | None:
    """The numbers in a recording's name, None if it is not SxxxCxxxPxxxRxxxAxxx."""
    match = NTU_NAME.fullmatch(name)
    return NtuName(*map(int, match.groups())) if match else None


@cache
def class_names(dataset: str) -> tuple[str, ...]:
    """Names of the classes of "ntu60", "ntu120", "pku1" or "pku2"; class i of a store is action i + 1."""
    file, count = CLASSES[dataset]
    lines = Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines()
    return tuple(line.split("\t")[1] for line in lines[:count])


@cache
def missing_names(dataset: str) -> frozenset[str]:
    """Recordings of "ntu60" (302) or "ntu120" (535) whose skeletons are missing or incomplete."""
    names = MISSING_FILE.read_text(encoding="utf-8").split()
    return frozenset(name for name in names if int(name[1:4]) <= NTU_DATASETS[dataset].last_setup)
