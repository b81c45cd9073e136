"""Show the hits of a search: where they lie, as a picture, or as a page."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.engine.hub import find_hub_name
from scdnet.errors import ScdnetError
from scdnet.eval.embedding_file import Embedding
from scdnet.eval.search import Hit
from scdnet.raw.custom.frames import make_capture
from scdnet.raw.positions import find_recordings, read_positions
from scdnet.report.hits import Moment, Search, write_hits
from scdnet.skeleton import Skeleton
from scdnet.viz.drawing import Drawing

# The suffix of a page.
PAGE = ".html"


class Found(NamedTuple):
    """A query and its hits."""

    query: Path
    frames: np.ndarray  # (T, M, V, C)
    # Frames per second of the query.
    fps: float
    embedding: Embedding
    hits: Sequence[Hit]
    # A few words on how they were found.
    method: str


def describe_rows(embedding: Embedding) -> str:
    """Return what a query is compared with."""
    if not embedding.origin.window:
        return f"{len(embedding):,} recordings"
    num_files = len(embedding.source)
    return f"{len(embedding):,} windows of {num_files:,} file{'s' if num_files > 1 else ''}"


def describe_place(embedding: Embedding, hit: Hit) -> tuple[str, str]:
    """Return the file of a hit, and the seconds from its begin to its end."""
    fps = embedding.origin.fps
    start = embedding.first[hit.row] / fps
    end = (embedding.last[hit.row] + 1) / fps
    return embedding.source[embedding.recording[hit.row]], f"{start:.2f} - {end:.2f}"


def read_hits(embedding: Embedding, hits: Sequence[Hit]) -> list[np.ndarray]:
    """Return the frames (T, M, V, C) of the hits; each of their files is read once.

    Raises ScdnetError if a file is missing or has another length than when it was embedded.
    """
    origin = embedding.origin
    described = dict(origin.capture)
    capture = None
    if described:
        described["skeleton"] = Skeleton.from_dict(described["skeleton"])
        capture = make_capture(**described)
    found = {one.where: one for one in find_recordings(Path(origin.root))}
    frames: dict[int, np.ndarray] = {}
    for recording in sorted({int(embedding.recording[hit.row]) for hit in hits}):
        where = str(embedding.source[recording])
        if where not in found:
            raise ScdnetError(f"{where}: no such recording any more, but a hit lies in it")
        positions = read_positions(found[where], capture)
        expected = int(embedding.num_frames[recording])
        if positions.num_frames != expected:
            raise ScdnetError(
                f"{where}: expected the {expected} frames that were embedded, found "
                f"{positions.num_frames}; embed the recordings again"
            )
        for row in [hit.row for hit in hits if embedding.recording[hit.row] == recording]:
            first = int(embedding.first[row])
            frames[row] = positions.normalize(first, int(embedding.last[row]) + 1)
    return [frames[hit.row] for hit in hits]


def play_query(found: Found) -> np.ndarray:
    """Return the frames (T', M, V, C) of the query at the rate of the hits, the nearest of its own.

    One clock moves all skeletons.
    """
    ratio = found.fps / found.embedding.origin.fps
    num_frames = max(1, round(len(found.frames) / ratio))
    nearest = (np.arange(num_frames) * ratio).astype(int)
    return found.frames[np.minimum(nearest, len(found.frames) - 1)]


def describe_encoder(embedding: Embedding) -> str:
    """Return what the features were made with, without the directories of this machine."""
    source = embedding.origin.encoder
    name = source if find_hub_name(source) is not None else Path(source).name
    return f"{name}, SHA-256 {embedding.origin.encoder_sha256[:12]}"


def draw_hits(found: Found, out: Path) -> None:
    """Draw the query, marked, and the hits, each with its cosine and seconds."""
    # A search without a drawing works without matplotlib.
    from scdnet.viz.render import render

    embedding = found.embedding
    skeleton = embedding.origin.skeleton
    query = play_query(found)
    drawings = [Drawing(found.query.stem, "the query", query, skeleton, is_marked=True)]
    for hit, frames in zip(found.hits, read_hits(embedding, found.hits), strict=True):
        source, seconds = describe_place(embedding, hit)
        title = f"{hit.cosine:.3f} {seconds} s"
        drawings.append(Drawing(Path(source).stem, title, frames, skeleton))
    render(drawings, out)


def write_page_of(found: Found, out: Path, *, command: Sequence[str]) -> None:
    """Write a page with the query and its hits in motion, each with file, seconds and cosine."""
    embedding = found.embedding
    origin = embedding.origin
    seconds = f"{len(found.frames) / found.fps:.2f} s"
    moments = [Moment("The query", found.query.name, seconds, play_query(found))]
    all_frames = read_hits(embedding, found.hits)
    for rank, (hit, frames) in enumerate(zip(found.hits, all_frames, strict=True), start=1):
        source, place = describe_place(embedding, hit)
        detail = f"rank {rank}, cosine {hit.cosine:.3f}"
        moments.append(Moment(f"{place} s", source, detail, frames))
    cosines = [f"{hit.cosine:.3f}" for hit in found.hits]
    facts = {
        "Query": f"{found.query}, {seconds}",
        "Windows": f"{origin.window} frames, {origin.stride} apart" if origin.window else "",
        "Frames a second": f"{origin.fps:g}",
        "Search": found.method,
        "Encoder": describe_encoder(embedding),
        "Skeleton": origin.skeleton.name,
    }
    search = Search(
        title=f"What resembles {found.query.stem}",
        outcome=f"The {len(cosines)} most similar of {describe_rows(embedding)}; their cosines "
        f"range from {cosines[0]} to {cosines[-1]}.",
        facts=[(key, value) for key, value in facts.items() if value],
        command=shlex.join(command),
        skeleton=origin.skeleton,
        fps=origin.fps,
    )
    write_hits(out, search, moments)
