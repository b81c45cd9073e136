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
from scdnet.raw.raw_files import RawFile, RawFileError, check_at_most
from scdnet.raw.text_numbers import DECIMAL

SPLIT_NAME = re.compile(r"cross[-_ ]?(subject|view)([-_ ]?v?[12])?", re.IGNORECASE)
# The start of a file, in bytes, that tells its kind.
START_BYTES = 4096
VIDEO = "video"
LABELS = "labels"
# Fields on a line of a label file: class, start, end, confidence.
NUM_FIELDS = 4
# Limit of a label or split file; a published label file has some 20 lines.
MAX_LIST_BYTES = 2**20


class Part(NamedTuple):
    """The names of videos in one part; the pattern has the groups camera and (or empty) subject."""

    pattern: re.Pattern[str]
    example: str


# Source: Liu et al. 2017 and the notes of the PKU-MMD release.
PARTS = {
    "pku1": Part(re.compile(r"\d{4}-(?P<camera>[LMR])(?P<subject>)", re.ASCII), "0002-L"),
    "pku2": Part(re.compile(r"A\d+N(?P<subject>\d+)-(?P<camera>[LMR])", re.ASCII), "A01N01-L"),
}


class Split(NamedTuple):
    """The names of the training and test videos of a benchmark."""

    train: frozenset[str]
    test: frozenset[str]


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
        elif (
            not any(other.pattern.fullmatch(file.stem) for other in PARTS.values())
            and detect_kind(file) == VIDEO
        ):
            rejected.append(
                Rejection(
                    file.where, 0, f"contains skeletons, but is not named like {part.example}"
                )
            )
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
        for benchmark, word in (("xsub", "subject"), ("xview", "view"))
    }
    listed = frozenset().union(*(side for split in splits.values() for side in split))
    missing = tuple(sorted(listed - by_kind[VIDEO].keys()))
    recordings = pair_files(by_kind[VIDEO], by_kind[LABELS], part, splits, rejected)
    return Tree(recordings, splits, rejected, missing)


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


def sort_by_kind(
    files: Iterable[RawFile], rejected: list[Rejection]
) -> dict[str, dict[str, RawFile]]:
    """Sort files into kind -> name -> file; of several with one name the first is used."""
    folders = defaultdict(list)
    for file in files:
        folders[PurePath(file.where).parent].append(file)
    kinds = {folder: find_kind(folder, members) for folder, members in folders.items()}
    # A folder that nothing else tells about contains the kind that is missing.
    missing = LABELS if set(kinds.values()) - {None} == {VIDEO} else VIDEO
    by_kind: dict[str, dict[str, RawFile]] = {VIDEO: {}, LABELS: {}}
    for folder, kind in kinds.items():
        found = by_kind[kind or missing]
        for file in folders[folder]:
            if file.stem in found:
                rejected.append(duplicate_rejection(file, found[file.stem]))
            else:
                found[file.stem] = file
    return by_kind


def find_kind(folder: PurePath, files: Sequence[RawFile]) -> str | None:
    """Tell the kind of a folder by most of its files, else by its name; None if neither tells."""
    counts = Counter(map(detect_kind, files))
    if counts[VIDEO] != counts[LABELS]:
        return VIDEO if counts[VIDEO] > counts[LABELS] else LABELS
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
            if any(part.pattern.fullmatch(name) for side in split for name in side):
                found.setdefault(split, file)
        except RawFileError as error:
            errors.append(error)
    if len(found) > 1:
        both = " and ".join(file.where for file in found.values())
        raise ConvertError(f"{both} differ; remove one of them; looked for {looked_for}")
    if not found and errors:
        raise errors[0]
    if not found:
        candidates = ", ".join(file.where for file in files) or "none"
        raise ConvertError(f"no split file: looked for {looked_for}; found {candidates}")
    return next(iter(found))


def parse_split(data: bytes, where: str) -> Split:
    """Parse a split file: comma-separated training videos in line 2, test videos in line 4.

    Blanks, suffixes of the names and a comma at the end are ignored. Raises RawFileError if there
    are fewer lines or more than MAX_LIST_BYTES.
    """
    check_at_most(MAX_LIST_BYTES, len(data), "bytes", where)
    lines = data.decode("utf-8-sig", errors="replace").split("\n")
    if len(lines) < 4:
        raise RawFileError(
            where,
            len(lines),
            "expected training videos in line 2 and validation videos in line 4, "
            "found the end of the file",
        )
    sides = (line.replace(",", " ").split() for line in (lines[1], lines[3]))
    return Split(*(frozenset(name.partition(".")[0] for name in names) for names in sides))


def pair_files(
    videos: Mapping[str, RawFile],
    labels: Mapping[str, RawFile],
    part: Part,
    splits: Mapping[str, Split],
    rejected: list[Rejection],
) -> list[Recording]:
    """Pair videos with their labels, sorted by name.

    A file without a partner is rejected, and so is a video that is not in exactly one side of
    every benchmark.
    """
    recordings = []
    for name in sorted(videos.keys() | labels.keys()):
        match = part.pattern.fullmatch(name)
        assert match is not None, "find_tree selects files by their names"
        faults = [
            f"listed on {'both sides' if name in split.test else 'neither side'} of {benchmark}"
            for benchmark, split in splits.items()
            if (name in split.train) == (name in split.test)
        ]
        if name not in labels:
            rejected.append(Rejection(videos[name].where, 0, f"no label file {name}.txt"))
        elif name not in videos:
            rejected.append(Rejection(labels[name].where, 0, f"no video {name}.txt"))
        elif faults:
            rejected.append(Rejection(videos[name].where, 0, faults[0]))
        else:
            # The cameras L, M and R have the numbers 1, 2 and 3.
            camera = "LMR".index(match["camera"]) + 1
            subject = int(match["subject"] or -1)
            recordings.append(Recording(name, videos[name], labels[name], camera, subject))
    return recordings
