"""A contact sheet of a store: one sequence of each class, a few poses of it from left to right. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scdnet.data.store import SequenceStore, SkeletonSequence
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.skeleton import NTU_25
from scdnet.viz.render import INK, Drawing, draw_pose, grab, project

CANDIDATES = 24  # sequences of a class that are looked at
MOST_POSES, FEWEST_POSES = 5, 2  # of a sequence
MOST_FRAMES = 100  # of a sequence that poses are chosen from
FARTHEST = (
    90  # percentile of the distances between poses; what lies farther counts as if it did not
)
CELL = np.array([3.7, 1.95])  # metres: width and height that the poses of a sequence stand in
LEAST_GAP, MOST_GAP = 0.12, 0.3  # metres between two poses
TITLE_HEIGHT = 0.4  # metres above a cell
MARGIN = 0.35  # metres between two cells
METRE_INCHES = 0.55
DPI = 150
SHAPE = 16 / 9  # width to height of the whole sheet, about
FONT_SIZE, BONE_WIDTH, GROUND_WIDTH = 7, 1.1, 0.6  # points
PALE = "#d0d0d0"
BASE, *FEET = map(NTU_25.joints.index, ("base of spine", "left foot", "right foot"))


def choose_example(store: SequenceStore, label: int) -> SkeletonSequence:
    """A sequence that shows a class well.

    Of the sequences about as long as the class's median, with as many bodies as most of these, the most upright one.
    """
    members = np.flatnonzero(store.table.label == label)
    lengths = np.diff(store.offset)[members]
    by_length = members[np.argsort(abs(lengths - np.median(lengths)), kind="stable")]
    candidates = [store[index] for index in by_length[:CANDIDATES]]
    has_two = np.array([(s.frames[:, 1] != 0).any(axis=(1, 2)).mean() > 0.5 for s in candidates])
    usual = np.flatnonzero(has_two == (has_two.mean() > 0.5))
    return max(
        (candidates[place] for place in usual), key=lambda sequence: uprightness(sequence.frames)
    )


def uprightness(frames: np.ndarray) -> float:
    """How straight body 0 of (T, M, V, C) stands on its feet: the cosine between z and the line from them to the spine.

    The normalisation puts the spine of the first frame upright: whoever bows in it leans back from then on.
    """
    legs = frames[:, 0, BASE] - frames[:, 0, FEET].mean(axis=1)  # (T, C)
    return float(np.median(legs[:, 2] / np.maximum(np.linalg.norm(legs, axis=1), 1e-6)))


def rank_poses(points: np.ndarray) -> list[int]:
    """The poses of (T, M, V, 2) that show the whole sequence best, the best first; equal ones are named once.

    Each next one brings all poses closest to one of those named so far: greedy k-medoids. A pose that is held or comes
    again counts for much, a frame in which a joint jumps away for little.
    """
    places = np.nan_to_num(points.reshape(len(points), -1))
    distances = np.linalg.norm(places[:, None] - places, axis=-1)  # (T, T)
    distances = np.minimum(distances, np.percentile(distances, FARTHEST))
    nearest = np.full(len(points), np.inf)  # (T,) from each pose to the closest that is named
    ranked: list[int] = []
    while len(ranked) < MOST_POSES and nearest.any():
        ranked.append(int(np.minimum(nearest, distances).sum(axis=1).argmin()))
        nearest = np.minimum(nearest, distances[ranked[-1]])
    return ranked


def line_up(points: np.ndarray) -> np.ndarray:
    """Some poses of (T, M, V, 2) in order of time, beside each other with their feet on y = 0.

    Returns (P, M, V, 2) metres within CELL: as many poses as it holds; if not even FEWEST_POSES, these made smaller.
    """
    points = points[np.isfinite(points).any(axis=(1, 2, 3))]
    points = points[:: -(-len(points) // MOST_FRAMES)]
    ranked = rank_poses(points)
    points = points - np.nanmin(points, axis=(1, 2), keepdims=True)  # each in the corner of 0, 0
    sizes = np.nanmax(points, axis=(1, 2))  # (T, 2)
    while (
        len(ranked) > FEWEST_POSES
        and sizes[ranked, 0].sum() + LEAST_GAP * (len(ranked) - 1) > CELL[0]
    ):
        ranked.pop()
    chosen = sorted(ranked)
    widths = sizes[chosen, 0]
    gap = np.clip((CELL[0] - widths.sum()) / max(1, len(chosen) - 1), LEAST_GAP, MOST_GAP)
    lefts = np.cumsum(widths + gap) - widths - gap
    extent = np.array([lefts[-1] + widths[-1], sizes[chosen, 1].max()])
    return (points[chosen] + np.stack([lefts, 0 * lefts], axis=-1)[:, None, None]) / max(
        1, *(extent / CELL)
    )


def write_title(axes: Axes, corner: np.ndarray, text: str) -> None:
    """Write above a cell whose upper left corner is given; what is wider than the cell is cut off."""
    text, room = " ".join(text.split()), CELL[0] * METRE_INCHES * DPI
    title = axes.text(*corner, text, fontsize=FONT_SIZE, color=INK, va="bottom", parse_math=False)
    while (width := title.get_window_extent().width) > room:
        text = text[: min(len(text) - 1, int(len(text) * room / width))]
        title.set_text(text.rstrip() + "…")


def draw_poses(axes: Axes, corner: np.ndarray, poses: np.ndarray) -> None:
    """Draw poses (P, M, V, 2) into the cell whose lower left corner is given, a piece of ground under each."""
    for pose in poses:
        draw_pose(axes, pose + corner, bone_width=BONE_WIDTH)
        ends = corner[0] + np.array([np.nanmin(pose[..., 0]), np.nanmax(pose[..., 0])])
        axes.plot(ends, corner[[1, 1]], color=PALE, linewidth=GROUND_WIDTH)


def draw_sheet(drawings: Sequence[Drawing]) -> FigureCanvasAgg:
    """Draw each in a cell of its own, row by row."""
    step = CELL + MARGIN + np.array([0, TITLE_HEIGHT])
    columns = min(len(drawings), round(np.sqrt(len(drawings) * SHAPE * step[1] / step[0])))
    rows = -(-len(drawings) // columns)
    width, height = step * (columns, rows)  # metres
    canvas = FigureCanvasAgg(Figure(figsize=(width * METRE_INCHES, height * METRE_INCHES), dpi=DPI))
    axes = canvas.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    for place, drawing in enumerate(drawings):
        row, column = divmod(place, columns)
        corner = step * (column, rows - 1 - row) + MARGIN / 2  # the lower left one
        title_corner = corner + np.array([0, CELL[1] + TITLE_HEIGHT / 2])
        write_title(axes, title_corner, f"{drawing.name}: {drawing.class_name}")
        draw_poses(axes, corner, line_up(project(drawing).points))
    return canvas


def draw_contact_sheet(store: SequenceStore, out: Path) -> int:
    """Draw one sequence of each class that has any into `out`, a png; returns how many these are.

    Raises ScdnetError for another suffix.
    """
    if out.suffix.lower() != ".png":
        raise ScdnetError(f"{out}: expected a name that ends in .png")
    examples = [choose_example(store, label) for label in np.unique(store.table.label)]
    drawings = [Drawing(str(e.label + 1), store.class_names[e.label], e.frames) for e in examples]
    with atomic_write(out) as partial:
        grab(draw_sheet(drawings)).save(partial, format="png", optimize=True)
    return len(drawings)
