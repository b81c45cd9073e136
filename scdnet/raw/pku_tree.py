"""PKU-MMD as it lies on disk: which file is a video, which its labels, which a split file.

Folders are called differently in every copy, and both parts may lie in one; a video and its labels have one name. So
files are told apart by the pattern of their names and by their content.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from scdnet.raw.convert import ConvertError, Rejection, duplicate_rejection
from scdnet.raw.pku_file import NUM_FIELDS, Split, parse_split
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.text_numbers import DECIMAL

CAMERAS = {"L": 1, "M": 2, "R": 3}
SPLIT_NAME = re.compile(r"cross[-_ ]?(subject|view)([-_ ]?v?[12])?", re.IGNORECASE)
BENCHMARKS = {"xsub": "subject", "xview": "view"}  # and the word in the name of its split file
START_BYTES = 4096  # of a file, by which its kind is told
VIDEO, LABELS = "video", "labels"


class Part(NamedTuple):
    """What the videos of one part of PKU-MMD are called."""

    pattern: re.Pattern  # groups: subject (where there is one), camera
    example: str


# Source: Liu et al. 2017 and the notes of the PKU-MMD release
PARTS = {
    "pku1": Part(re.compile(r"\d{4}-(?P<camera>[LMR])(?P<subject>)", re.ASCII), "0002-L"),
    "pku2": Part(re.compile(r"A\d+N(?P<subject>\d+)-(?P<camera>[LMR])", re.ASCII), "A01N01-L"),
}


class Recording(NamedTuple):
    """A video and its labels."""

    name: str
    video: RawFile
    labels: RawFile
    camera: int
    subject: int  # -1 where unknown


@dataclass
class Tree:
    """What was found of one part."""

    recordings: list[Recording]  # by name
    splits: dict[str, Split]  # by benchmark
    rejected: list[Rejection] = field(default_factory=list)
    absent: tuple[str, ...] = ()  # videos that the splits list and that are not there


def find_tree(files: Iterable[RawFile], dataset: str) -> Tree:
    """Sort out the files of `dataset`.

    Raises ConvertError, saying what was looked for, if one kind of them is missing altogether.
    """
    part = PARTS[dataset]
    named, others, candidates = [], [], defaultdict(list)
    for file in files:
        if match := SPLIT_NAME.fullmatch(file.stem):
            candidates[match[1].lower()].append(file)
        elif part.pattern.fullmatch(file.stem):
            named.append(file)
        elif not any(other.pattern.fullmatch(file.stem) for other in PARTS.values()):
            others.append(file)
    rejected = [
        Rejection(
            file.where, 0, f"the skeletons of a video, but its name is not like {part.example}"
        )
        for file in others
        if kind_of(file) == VIDEO
    ]
    if not named and not candidates:
        return Tree([], {}, rejected)
    by_kind = sort_by_kind(named, rejected)
    for kind, what in (
        (VIDEO, "150 numbers a line"),
        (LABELS, "class,start,end,confidence a line"),
    ):
        if not by_kind[kind]:
            raise ConvertError(
                f"no {kind}: looked for files called like {part.example}.txt with {what}"
            )
    splits = {name: choose_split(candidates[word], word, part) for name, word in BENCHMARKS.items()}
    recordings = pair(by_kind, part, rejected)
    listed = frozenset().union(*(side for split in splits.values() for side in split))
    recordings = [recording for recording in recordings if _is_listed(recording, splits, rejected)]
    return Tree(recordings, splits, rejected, absent=tuple(sorted(listed - by_kind[VIDEO].keys())))


def kind_of(file: RawFile) -> str | None:
    """Whether a file holds the skeletons of a video or labels, by its first line that is not blank; None: neither."""
    with suppress(RawFileError):
        for line in file.read_start(START_BYTES).splitlines():
            words = line.split()[: 2 * NUM_FIELDS + 1]
            if len(words) > 2 * NUM_FIELDS:
                return (
                    VIDEO
                    if sum(bool(DECIMAL.fullmatch(word)) for word in words) > NUM_FIELDS
                    else None
                )
            if words:
                return LABELS if line.count(b",") == NUM_FIELDS - 1 else None
    return None


def sort_by_kind(
    files: Iterable[RawFile], rejected: list[Rejection]
) -> dict[str, dict[str, RawFile]]:
    """Kind -> name -> file. A folder's files are of the kind of most of them; of two of one name the first stays."""
    folders = defaultdict(list)
    for file in files:
        folders[PurePath(file.where).parent].append(file)
    by_kind = {VIDEO: {}, LABELS: {}}
    for folder, kind in find_kinds(folders).items():
        found = by_kind[kind]
        for file in folders[folder]:
            if file.stem in found:
                rejected.append(duplicate_rejection(file, found[file.stem]))
            else:
                found[file.stem] = file
    return by_kind


def find_kinds(folders: Mapping[PurePath, Sequence[RawFile]]) -> dict[PurePath, str]:
    """The kind of each folder's files: that of most of them, else what its name says, else the one that is lacking."""
    kinds: dict[PurePath, str | None] = {}
    for folder, inside in folders.items():
        counts = Counter(kind_of(file) for file in inside)
        is_tie = counts[VIDEO] == counts[LABELS]
        kinds[folder] = (
            _kind_by_name(folder) if is_tie else max((VIDEO, LABELS), key=counts.__getitem__)
        )
    lacking = LABELS if VIDEO in kinds.values() and LABELS not in kinds.values() else VIDEO
    return {folder: kind or lacking for folder, kind in kinds.items()}


def _kind_by_name(folder: PurePath) -> str | None:
    for name in reversed(folder.parts[-2:]):
        for kind, word in ((LABELS, "label"), (VIDEO, "skelet")):
            if word in name.lower():
                return kind
    return None


def choose_split(files: Sequence[RawFile], word: str, part: Part) -> Split:
    """The split that the files called `cross-<word>` give for `part`: of those that list its videos.

    Raises ConvertError if there is none, or if two of them differ; RawFileError if the only ones cannot be read.
    """
    looked_for = (
        f"cross-{word}.txt (or with _, or _v2), with names like {part.example} in lines 2 and 4"
    )
    found, errors = {}, []
    for file in files:
        try:
            split = parse_split(file.read(), file.where)
        except RawFileError as error:
            errors.append(error)
            continue
        if any(part.pattern.fullmatch(name) for side in split for name in side):
            found.setdefault(split, file)
    if len(found) > 1:
        both = " and ".join(file.where for file in found.values())
        raise ConvertError(f"{both} differ; leave one of them, looked for {looked_for}")
    if not found and errors:
        raise errors[0]
    if not found:
        there = ", ".join(file.where for file in files) or "none"
        raise ConvertError(f"no split file: looked for {looked_for}; found {there}")
    return next(iter(found))


def pair(
    by_kind: dict[str, dict[str, RawFile]], part: Part, rejected: list[Rejection]
) -> list[Recording]:
    """Videos with their labels, by name; what has no partner is rejected."""
    videos, labels = by_kind[VIDEO], by_kind[LABELS]
    rejected += [
        Rejection(videos[n].where, 0, f"no label file {n}.txt")
        for n in videos.keys() - labels.keys()
    ]
    rejected += [
        Rejection(labels[n].where, 0, f"no video {n}.txt") for n in labels.keys() - videos.keys()
    ]
    recordings = []
    for name in sorted(videos.keys() & labels.keys()):
        match = part.pattern.fullmatch(name)
        subject = int(match["subject"]) if match["subject"] else -1
        recordings.append(
            Recording(name, videos[name], labels[name], CAMERAS[match["camera"]], subject)
        )
    return recordings


def _is_listed(recording: Recording, splits: dict[str, Split], rejected: list[Rejection]) -> bool:
    for benchmark, split in splits.items():
        sides = (recording.name in split.train) + (recording.name in split.test)
        if sides != 1:
            reason = f"{benchmark} lists it on {'both sides' if sides else 'neither side'}"
            rejected.append(Rejection(recording.video.where, 0, reason))
            return False
    return True
