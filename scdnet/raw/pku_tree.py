"""The files of PKU-MMD on disk: which one is a video, which its labels, which a split file.

Every copy names its folders differently, both parts may be in one folder, and a video and its
labels have the same name. So files are told apart by their names and their content.
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
# Benchmark -> the word in the name of its split file.
BENCHMARKS = {"xsub": "subject", "xview": "view"}
# The start of a file, in bytes, that tells its kind.
START_BYTES = 4096
VIDEO = "video"
LABELS = "labels"


class Part(NamedTuple):
    """The names of videos in one part; the pattern has the groups camera and (or empty) subject."""

    pattern: re.Pattern[str]
    example: str


# Source: Liu et al. 2017 and the notes of the PKU-MMD release.
PARTS = {
    "pku1": Part(re.compile(r"\d{4}-(?P<camera>[LMR])(?P<subject>)", re.ASCII), "0002-L"),
    "pku2": Part(re.compile(r"A\d+N(?P<subject>\d+)-(?P<camera>[LMR])", re.ASCII), "A01N01-L"),
}

# Kind -> name of the video -> file.
FilesByKind = dict[str, dict[str, RawFile]]


class Recording(NamedTuple):
    """A video and its labels; the subject is -1 where unknown."""

    name: str
    video: RawFile
    labels: RawFile
    camera: int
    subject: int


@dataclass
class Tree:
    """The recordings of one part, by name, and its splits, by benchmark.

    `missing` are the videos that the splits list and that do not exist.
    """

    recordings: list[Recording]
    splits: dict[str, Split]
    rejected: list[Rejection] = field(default_factory=list)
    missing: tuple[str, ...] = ()


def find_tree(files: Iterable[RawFile], dataset: str) -> Tree:
    """Sort out the files of `dataset`. Raises ConvertError if one kind of file is missing."""
    part = PARTS[dataset]
    named = []
    rejected = []
    split_files = defaultdict(list)
    for file in files:
        if match := SPLIT_NAME.fullmatch(file.stem):
            split_files[match[1].lower()].append(file)
        elif part.pattern.fullmatch(file.stem):
            named.append(file)
        elif not _is_of_any_part(file) and detect_kind(file) == VIDEO:
            reason = f"contains skeletons, but is not named like {part.example}"
            rejected.append(Rejection(file.where, 0, reason))
    if not named and not split_files:
        return Tree([], {}, rejected)
    by_kind = sort_by_kind(named, rejected)
    for kind, content in (
        (VIDEO, "150 numbers per line"),
        (LABELS, "class,start,end,confidence per line"),
    ):
        if not by_kind[kind]:
            raise ConvertError(
                f"no {kind}: looked for files named {part.example}.txt with {content}"
            )
    splits = {
        benchmark: choose_split(split_files[word], word, part)
        for benchmark, word in BENCHMARKS.items()
    }
    recordings = []
    for recording in pair_files(by_kind, part, rejected):
        if fault := validate_membership(recording.name, splits):
            rejected.append(Rejection(recording.video.where, 0, fault))
        else:
            recordings.append(recording)
    listed = frozenset().union(*(side for split in splits.values() for side in split))
    missing = tuple(sorted(listed - by_kind[VIDEO].keys()))
    return Tree(recordings, splits, rejected, missing)


def _is_of_any_part(file: RawFile) -> bool:
    return any(part.pattern.fullmatch(file.stem) for part in PARTS.values())


def detect_kind(file: RawFile) -> str | None:
    """Tell VIDEO or LABELS by the first line of a file that is not blank; None if it is neither."""
    with suppress(RawFileError):
        for line in file.read(START_BYTES).splitlines():
            # More words than labels have even with blanks around their commas.
            words = line.split()[: 2 * NUM_FIELDS + 1]
            if len(words) > 2 * NUM_FIELDS:
                num_decimals = sum(DECIMAL.fullmatch(word) is not None for word in words)
                return VIDEO if num_decimals > NUM_FIELDS else None
            if words:
                return LABELS if line.count(b",") == NUM_FIELDS - 1 else None
    return None


def sort_by_kind(files: Iterable[RawFile], rejected: list[Rejection]) -> FilesByKind:
    """Sort files into videos and labels by name; of several with one name the first is used."""
    folders = defaultdict(list)
    for file in files:
        folders[PurePath(file.where).parent].append(file)
    by_kind: FilesByKind = {VIDEO: {}, LABELS: {}}
    for folder, kind in find_kinds(folders).items():
        found = by_kind[kind]
        for file in folders[folder]:
            if file.stem in found:
                rejected.append(duplicate_rejection(file, found[file.stem]))
            else:
                found[file.stem] = file
    return by_kind


def find_kinds(folders: Mapping[PurePath, Sequence[RawFile]]) -> dict[PurePath, str]:
    """Tell the kind of each folder by most of its files, else by its name, else by elimination."""
    kinds: dict[PurePath, str | None] = {}
    for folder, files in folders.items():
        counts = Counter(map(detect_kind, files))
        if counts[VIDEO] == counts[LABELS]:
            kinds[folder] = _kind_by_name(folder)
        else:
            kinds[folder] = VIDEO if counts[VIDEO] > counts[LABELS] else LABELS
    missing = LABELS if set(kinds.values()) - {None} == {VIDEO} else VIDEO
    return {folder: kind or missing for folder, kind in kinds.items()}


def _kind_by_name(folder: PurePath) -> str | None:
    for name in reversed(folder.parts[-2:]):
        for kind, word in ((LABELS, "label"), (VIDEO, "skelet")):
            if word in name.lower():
                return kind
    return None


def choose_split(files: Sequence[RawFile], word: str, part: Part) -> Split:
    """Return the split that lists videos of `part` among the files named `cross-<word>`.

    Raises ConvertError if there is none or if two differ, RawFileError if none can be read.
    """
    looked_for = (
        f"cross-{word}.txt (or with _, or _v2), with names like {part.example} in lines 2 and 4"
    )
    found: dict[Split, RawFile] = {}
    errors = []
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
        raise ConvertError(f"{both} differ; remove one of them; looked for {looked_for}")
    if not found and errors:
        raise errors[0]
    if not found:
        candidates = ", ".join(file.where for file in files) or "none"
        raise ConvertError(f"no split file: looked for {looked_for}; found {candidates}")
    return next(iter(found))


def pair_files(by_kind: FilesByKind, part: Part, rejected: list[Rejection]) -> list[Recording]:
    """Pair videos with their labels, sorted by name; a file without a partner is rejected."""
    recordings = []
    for name in sorted(by_kind[VIDEO].keys() | by_kind[LABELS].keys()):
        video = by_kind[VIDEO].get(name)
        labels = by_kind[LABELS].get(name)
        match = part.pattern.fullmatch(name)
        if video and labels and match:
            subject = int(match["subject"]) if match["subject"] else -1
            recordings.append(Recording(name, video, labels, CAMERAS[match["camera"]], subject))
        elif video:
            rejected.append(Rejection(video.where, 0, f"no label file {name}.txt"))
        elif labels:
            rejected.append(Rejection(labels.where, 0, f"no video {name}.txt"))
    return recordings


def validate_membership(video: str, splits: Mapping[str, Split]) -> str | None:
    """Return why a video is not in exactly one side of every benchmark, None if it is."""
    for benchmark, split in splits.items():
        num_sides = (video in split.train) + (video in split.test)
        if num_sides != 1:
            sides = "both sides" if num_sides else "neither side"
            return f"listed on {sides} of {benchmark}"
    return None
