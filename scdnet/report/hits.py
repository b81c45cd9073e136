"""Write the page of a search: the query and its hits as moving skeletons."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.report.motion import (
    MAX_FRAMES,
    MAX_MOTION_BYTES,
    STEP,
    MotionWriter,
    describe_skeleton,
)
from scdnet.report.page import Page, write_page
from scdnet.skeleton import Skeleton


class Moment(NamedTuple):
    """A moving skeleton, and the three lines below it."""

    title: str
    file: str
    detail: str
    frames: np.ndarray  # (T, M, V, C)


class Search(NamedTuple):
    """A search, as a page describes it."""

    title: str
    # One sentence on what was found.
    outcome: str
    facts: Sequence[tuple[str, str]]
    # The command that makes the page again.
    command: str
    skeleton: Skeleton
    # Frames per second of all moments.
    fps: float


def write_hits(path: Path, search: Search, moments: Sequence[Moment]) -> None:
    """Write the page of a search; the first of the moments is the query.

    Motion beyond MAX_MOTION_BYTES is left out.
    """
    writer = MotionWriter(search.skeleton, MAX_MOTION_BYTES)
    placed = [None if writer.is_full else writer.add(one.frames) for one in moments]
    writer.flush()
    num_still = sum(one is None for one in placed)
    num_cut = sum(one.is_cut for one in placed if one)
    seconds = STEP * MAX_FRAMES / search.fps
    sentences = {
        f"The motion of {num_still:,} hits is left out to keep the page small.": num_still,
        f"Only the first {seconds:.0f} s of {num_cut:,} skeletons are shown.": num_cut,
    }
    data = {
        "fps": search.fps / STEP,
        "skeleton": describe_skeleton(search.skeleton),
        "sequences": {
            "name": [one.file for one in moments],
            "bodies": [one.num_bodies if one else 1 for one in placed],
            "frames": [one.num_frames if one else 0 for one in placed],
            "offset": [one.offset if one else 0 for one in placed],
        },
        "hits": {
            "title": [one.title for one in moments],
            "detail": [one.detail for one in moments],
        },
    }
    page = Page(
        kicker="scdnet search",
        title=search.title,
        sections=("hits",),
        facts=search.facts,
        verdict=search.outcome,
        verdict_kind="",
        scores=(),
        command=search.command,
        left_out=[sentence for sentence, applies in sentences.items() if applies],
        data=data,
        motion=writer.blocks,
    )
    write_page(path, page)
