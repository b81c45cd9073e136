"""Assemble the data of a page: what its script shows, as plain values and blocks of motion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from scdnet.data.store import SequenceStore
from scdnet.eval.classify import Prediction
from scdnet.eval.feature_table import FeatureTable
from scdnet.report.classes import count_classes, find_extremes
from scdnet.report.confusion import Confusion, Pair, count_confusions
from scdnet.report.curves import RunCurves, build_curves
from scdnet.report.maps import Map, draw_maps
from scdnet.report.motion import (
    FPS,
    FRAME_RATE,
    MAX_FRAMES,
    MAX_MOTION_BYTES,
    MotionWriter,
    Placed,
    describe_skeleton,
)
from scdnet.report.retrieval import Retrieval
from scdnet.report.selection import Selection, select_sequences

# More sequences would make a page that opens slowly and a map that is only a cloud.
MAX_SEQUENCES = 2000
# Examples of a cell of the confusion matrix.
NUM_EXAMPLES = 6
# Classes that are named beside a recording of the user's.
NUM_LIKELIEST = 3
TRAIN, TEST, OWN = range(3)


class OwnRecording(NamedTuple):
    """A recording of the user's, as a query."""

    name: str
    frames: np.ndarray  # (T, M, V, C)
    prediction: Prediction


@dataclass(frozen=True)
class Findings:
    """The findings on an encoder, of which pages and figures show parts."""

    table: FeatureTable
    benchmark: str
    retrieval: Retrieval
    confusion: Confusion
    selection: Selection
    recordings: Sequence[OwnRecording]
    curves: Sequence[RunCurves]

    @property
    def is_train(self) -> np.ndarray:
        """Return which sequences of the store belong to the training split, (N,) bool."""
        return self.table.is_train[self.benchmark].numpy()

    @cached_property
    def maps(self) -> list[Map]:
        """Return maps of the selection, which take seconds to draw."""
        return draw_maps(self.table.x.numpy()[self.selection.rows])

    @cached_property
    def place(self) -> dict[int, int]:
        """Return the row of the page for each row of the store that was selected."""
        return {row: i for i, row in enumerate(self.selection.rows.tolist())}


def compute_findings(
    table: FeatureTable,
    benchmark: str,
    retrieval: Retrieval,
    *,
    recordings: Sequence[OwnRecording] = (),
    curves: Sequence[RunCurves],
) -> Findings:
    """Compute what pages and figures show of an encoder's features."""
    near = [row_of(table, name) for one in recordings for name in _neighbor_names(one)]
    required = np.array(near, dtype=np.int64)
    selection = select_sequences(retrieval, table.label, required, limit=MAX_SEQUENCES)
    label = table.label.numpy()
    x = table.x.numpy()
    centers = {c: x[label == c].mean(axis=0) for c in np.unique(label).tolist()}
    predicted = retrieval.predicted(table.label).numpy()
    confusion = count_confusions(label[retrieval.queries.numpy()], predicted, centers)
    return Findings(table, benchmark, retrieval, confusion, selection, recordings, curves)


def _neighbor_names(recording: OwnRecording) -> list[str]:
    return [neighbor.name for neighbor in recording.prediction.neighbours]


def row_of(table: FeatureTable, name: str) -> int:
    """Return the row of the sequence called `name`, of which there is one; names are sorted."""
    return int(np.searchsorted(table.name, name))


class Payload(NamedTuple):
    """The data of a page."""

    data: dict[str, Any]
    motion: list[bytes]
    # Sentences on what was left out.
    left_out: list[str]


def build_payload(findings: Findings, store: SequenceStore) -> Payload:
    """Build the data of a page; motion beyond MAX_MOTION_BYTES is left out."""
    table = findings.table
    writer = MotionWriter(table.skeleton, MAX_MOTION_BYTES)
    placed = _write_motion(findings, store, writer)
    # The page shows the first map at first, and PCA is the least clear.
    maps = [*findings.maps[1:], *findings.maps[:1]]
    data = {
        "fps": FPS,
        "skeleton": describe_skeleton(table.skeleton),
        "classNames": list(table.class_names),
        "sequences": _describe_sequences(findings, store, placed),
        "queries": _describe_queries(findings),
        "maps": [_describe_map(one, findings) for one in maps],
        "confusion": _describe_confusion(findings),
        "training": build_curves(findings.curves),
        "classes": _describe_classes(findings, store, placed),
    }
    return Payload(data, writer.blocks, _describe_left_out(findings, placed))


def _write_motion(
    findings: Findings, store: SequenceStore, writer: MotionWriter
) -> list[Placed | None]:
    """Write the motion of the user's recordings, then of the selection; None where it is left out.

    The order of the result is that of the rows of the page: selection, then recordings.
    """
    own: list[Placed | None] = [writer.add(one.frames) for one in findings.recordings]
    placed: list[Placed | None] = []
    for row in findings.selection.rows.tolist():
        placed.append(None if writer.is_full else writer.add(store[row].frames))
    writer.flush()
    return placed + own


def _describe_sequences(
    findings: Findings, store: SequenceStore, placed: Sequence[Placed | None]
) -> dict[str, list[Any]]:
    rows = findings.selection.rows
    own = findings.recordings
    lengths = [*np.diff(store.offset)[rows].tolist(), *(len(one.frames) for one in own)]
    split = np.where(findings.is_train[rows], TRAIN, TEST)
    unknown = [-1] * len(own)
    columns = {
        key: [*getattr(store.table, key)[rows].tolist(), *unknown]
        for key in ("label", "subject", "camera")
    }
    return {
        "name": [*store.table.name[rows].tolist(), *(one.name for one in own)],
        **columns,
        "split": [*split.tolist(), *[OWN] * len(own)],
        "bodies": [one.num_bodies if one else 1 for one in placed],
        "seconds": [round(length / FRAME_RATE, 2) for length in lengths],
        "frames": [one.num_frames if one else 0 for one in placed],
        "offset": [one.offset if one else 0 for one in placed],
    }


def _describe_queries(findings: Findings) -> dict[str, list[Any]]:
    """Describe the queries by rows of the page; the recordings of the user's come first."""
    retrieval = findings.retrieval
    place = findings.place
    chosen = findings.selection.queries
    num_rows = len(findings.selection.rows)
    keys = ("row", "neighbors", "similarity", "hardness", "note")
    result: dict[str, list[Any]] = {key: [] for key in keys}
    for i, recording in enumerate(findings.recordings):
        near = recording.prediction.neighbours
        result["row"].append(num_rows + i)
        result["neighbors"].append([place[row_of(findings.table, one.name)] for one in near])
        result["similarity"].append([round(one.similarity, 4) for one in near])
        result["hardness"].append(2)
        result["note"].append(describe_prediction(recording.prediction))
    for query in chosen.tolist():
        result["row"].append(place[int(retrieval.queries[query])])
        result["neighbors"].append([place[row] for row in retrieval.neighbors[query].tolist()])
        cosines = retrieval.similarity[query].tolist()
        result["similarity"].append([round(cosine, 4) for cosine in cosines])
        result["hardness"].append(round(float(retrieval.hardness[query]), 4))
        result["note"].append("")
    return result


def describe_prediction(prediction: Prediction) -> str:
    """Return the likeliest classes of a recording in one line."""
    likeliest = list(prediction.probabilities.items())[:NUM_LIKELIEST]
    return ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in likeliest)


def _describe_map(one: Map, findings: Findings) -> dict[str, Any]:
    """Describe a map; a recording of the user's stands in the middle of its neighbors."""
    points = [one.points]
    for recording in findings.recordings:
        rows = [row_of(findings.table, name) for name in _neighbor_names(recording)]
        near = [findings.place[row] for row in rows]
        points.append(one.points[near].mean(axis=0, keepdims=True))
    x, y = np.round(np.concatenate(points).astype(float), 4).T.tolist()
    note = one.note
    if findings.recordings:
        note = f"{note} Your recordings stand in the middle of their neighbors."
    return {"name": one.name, "note": note, "x": x, "y": y}


def _describe_confusion(findings: Findings) -> dict[str, Any]:
    confusion = findings.confusion
    label = findings.table.label
    predicted = findings.retrieval.predicted(label).tolist()
    actual = label[findings.retrieval.queries].tolist()
    examples: dict[tuple[int, int], list[int]] = {}
    for place, query in enumerate(findings.selection.queries.tolist()):
        cell = examples.setdefault((actual[query], predicted[query]), [])
        if len(cell) < NUM_EXAMPLES:
            cell.append(place + len(findings.recordings))
    return {
        "order": confusion.order.tolist(),
        "counts": confusion.counts.tolist(),
        "accuracy": [_round(one._asdict()) for one in confusion.accuracy],
        "pairs": [_describe_pair(pair) for pair in confusion.pairs],
        "examples": [[*cell, places] for cell, places in examples.items()],
    }


def _describe_pair(pair: Pair) -> dict[str, int]:
    return {"actual": pair.actual, "predicted": pair.predicted, "count": pair.num}


def _round(values: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 2) for key, value in values.items()}


def _describe_classes(
    findings: Findings,
    store: SequenceStore,
    placed: Sequence[Placed | None],
) -> dict[str, Any]:
    shown = placed[: len(findings.selection.rows)]
    num_bodies = np.array([one.num_bodies for one in shown if one])
    two_bodies = float((num_bodies == 2).mean()) if len(num_bodies) else 0.0
    classes = count_classes(store, findings.is_train, two_bodies)
    extremes = find_extremes(findings.confusion.accuracy)
    for name, one in zip(("best", "worst"), extremes or (None, None), strict=True):
        classes[name] = one and {
            "label": one.label,
            "accuracy": round(100 * one.correct / one.num, 2),
            "row": _find_example(findings, one.label, is_easy=name == "best"),
        }
    return classes


def _find_example(findings: Findings, label: int, *, is_easy: bool) -> int | None:
    """Return the row in the page of the easiest or the hardest query of a class."""
    queries = findings.retrieval.queries[findings.selection.queries]
    own = queries[findings.table.label[queries] == label].tolist()
    # The queries of the selection come with the hardest first.
    return findings.place[own[-1 if is_easy else 0]] if own else None


def _describe_left_out(findings: Findings, placed: Sequence[Placed | None]) -> list[str]:
    num_all = len(findings.table.name)
    num_rows = len(findings.selection.rows)
    num_queries = len(findings.retrieval.queries)
    num_shown = len(findings.selection.queries)
    num_still = sum(one is None for one in placed)
    num_cut = sum(one.is_cut for one in placed if one)
    sentences = {
        f"This page contains {num_rows:,} of {num_all:,} sequences.": num_rows < num_all,
        f"The gallery contains {num_shown:,} of {num_queries:,} test sequences: the hardest of "
        "each confusion, and some of all classes. Accuracies and confusions are those of all.": (
            num_shown < num_queries
        ),
        f"The motion of {num_still:,} sequences is left out to keep the page small.": num_still,
        f"Only the first {MAX_FRAMES / FPS:.0f} s of {num_cut:,} sequences are shown.": num_cut,
    }
    return [sentence for sentence, applies in sentences.items() if applies]
