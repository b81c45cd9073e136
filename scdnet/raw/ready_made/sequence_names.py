"""Names of sequences in ready-made files of NTU RGB+D and PKU-MMD, and what they tell."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from scdnet.raw.datasets import parse_ntu_name
from scdnet.raw.pku_tree import PARTS
from scdnet.raw.ready_made.ntu_names import SUFFIX, find_dataset, parse_numbers

CAMERAS = "LMR"
# A video of PKU-MMD and the index of an action in it, from 0. Source: CMD, data_gen/pku_gendata.py.
PKU_ACTION = re.compile(r"(?P<video>[^_]+?)(\.txt)?_(?P<index>\d{1,4})", re.ASCII)
# The same in other words; the index counts from 1. Source: AimCLR, tools/pku_part*_skeleton.py.
AIMCLR_PKU1 = re.compile(r"F(\d{3})V00([123])C(\d{3})L(\d{3})", re.ASCII)
AIMCLR_PKU2 = re.compile(r"A0(\d\d)N0(\d\d)V00([123])C(\d{3})L(\d{3})", re.ASCII)
# The part in a path, in small letters.
PKU_PART = re.compile(r"pku[-_ ]?(?:mmd)?[-_ ]?(?:v|part)?[-_ ]?(1|2|i{1,2})(?![a-z\d])")
# The benchmark where nothing names it.
UNKNOWN_BENCHMARK = "custom"
# Part of a path, in small letters -> benchmark; the first that fits counts.
BENCHMARKS: Mapping[str, re.Pattern[str]] = {
    benchmark: re.compile(rf"(^|[^a-z])({words})([^a-z]|$)")
    for benchmark, words in (
        ("xsub", r"x[-_]?sub(ject)?|cross[-_ ]?subject|csub|cs"),
        ("xview", r"x[-_]?view|cross[-_ ]?view|cview|cv"),
        ("xset", r"x[-_]?set(up)?|cross[-_ ]?setup|cset(up)?"),
    )
}


class SequenceName(NamedTuple):
    """A name as a store has it, and what it tells."""

    name: str
    # "ntu60", "ntu120", "pku1" or "pku2"; "" if the name is of none of them.
    dataset: str
    # The class id, from 0; None where the name does not tell.
    label: int | None
    # subject, camera, setup and replication, as far as they are known.
    numbers: Mapping[str, int]


def parse_sequence_name(text: str) -> SequenceName:
    """Parse the name of a sequence as the lists of any script have it."""
    stem = text.removesuffix(SUFFIX)
    ntu = parse_ntu_name(stem)
    if ntu is not None:
        return SequenceName(stem, find_dataset([stem]) or "", ntu.action - 1, parse_numbers(stem))
    if match := AIMCLR_PKU1.fullmatch(stem):
        video, camera, action, line = map(int, match.groups())
        name = f"{video:04}-{CAMERAS[camera - 1]}_{line - 1}"
        return parse_sequence_name(name)._replace(label=action - 1)
    if match := AIMCLR_PKU2.fullmatch(stem):
        group, subject, camera, action, line = map(int, match.groups())
        name = f"A{group:02}N{subject:02}-{CAMERAS[camera - 1]}_{line - 1}"
        return parse_sequence_name(name)._replace(label=action - 1)
    return _parse_pku(text)


def _parse_pku(text: str) -> SequenceName:
    match = PKU_ACTION.fullmatch(text)
    if match is not None:
        for dataset, part in PARTS.items():
            if video := part.pattern.fullmatch(match["video"]):
                numbers = {"camera": CAMERAS.index(video["camera"]) + 1}
                if video["subject"]:
                    numbers["subject"] = int(video["subject"])
                name = f"{match['video']}_{int(match['index'])}"
                return SequenceName(name, dataset, None, numbers)
    return SequenceName(text, "", None, {})


def find_pku_part(path: str) -> str | None:
    """Return "pku1" or "pku2", the last that a path names; None if it names none."""
    parts = PKU_PART.findall(path.lower())
    if not parts:
        return None
    return "pku2" if parts[-1] in ("2", "ii") else "pku1"


def find_benchmark(where: str) -> str | None:
    """Return the benchmark that a path names, the last part of it first; None if it names none."""
    for part in reversed(where.replace("\\", "/").lower().split("/")):
        for benchmark, pattern in BENCHMARKS.items():
            if pattern.search(part):
                return benchmark
    return None
