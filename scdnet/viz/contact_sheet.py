"""A contact sheet of a store: a few poses of one sequence of each class. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scdnet.data.store import SequenceStore, SkeletonSequence
from scdnet.files import atomic_write
from scdnet.skeleton import Skeleton, mean_joint
from scdnet.viz.drawing import Drawing
from scdnet.viz.render import TITLE_COLOR, draw_pose, project, to_image

# Candidates of a class.
MAX_CANDIDATES = 24
# Width and height that the poses of a sequence stand in.
CELL = np.array([3.7, 1.95])  # meters
# Range of the gap between two poses.
MIN_GAP = 0.12  # meters
MAX_GAP = 0.3  # meters
TITLE_HEIGHT = 0.4  # meters
# Gap between two cells.
MARGIN = 0.35  # meters
PIXELS_PER_METER = 82.5
# Parts of the names of joints that are about on the ground.
FEET = ("foot", "ankle", "toe")


def choose_example(store: SequenceStore, label: int) -> SkeletonSequence:
    """Choose a sequence that shows a class well.

    It is the most upright of the sequences about as long as the class's median, with as many bodies
    as most of these.
    """
    members = np.flatnonzero(store.table.label == label)
    lengths = np.diff(store.offset)[members]
    by_length = members[np.argsort(abs(lengths - np.median(lengths)), kind="stable")]
    candidates = [store[index] for index in by_length[:MAX_CANDIDATES]]
    has_two = np.array([(s.frames[:, 1] != 0).any(axis=(1, 2)).mean() > 0.5 for s in candidates])
    usual = np.flatnonzero(has_two == (has_two.mean() > 0.5))
    return max(
        (candidates[i] for i in usual),
        key=lambda sequence: uprightness(sequence.frames, store.skeleton),
    )


def uprightness(frames: np.ndarray, skeleton: Skeleton) -> float:
    """Return the cosine between up and the line from feet to spine of body 0 of (T, M, V, C).

    Normalization puts the spine of the first frame upright: whoever bows in it leans back later.
    """
    feet = tuple(v for v, name in enumerate(skeleton.joints) if any(part in name for part in FEET))
    body = frames[:, 0, :, : skeleton.dims]
    # A skeleton without feet has its spine alone.
    low, high = (feet, skeleton.spine[0]) if feet else skeleton.spine
    legs = mean_joint(body, high) - mean_joint(body, low)  # (T, dims)
    # Up is z in 3-D and y in 2-D: the last coordinate.
    return float(np.median(legs[:, -1] / np.maximum(np.linalg.norm(legs, axis=1), 1e-6)))


def line_up(points: np.ndarray) -> np.ndarray:
    """Place evenly spaced poses of (T, M, V, 2) beside each other, their feet on y = 0.

    Returns (P, M, V, 2), in meters, within CELL: as many poses as fit, or two scaled down.
    """
    points = points[np.isfinite(points).any(axis=(1, 2, 3))]
    # Each pose touches x = 0 and y = 0.
    points = points - np.nanmin(points, axis=(1, 2), keepdims=True)
    all_widths = np.nanmax(points[..., 0], axis=(1, 2))  # (T,)
    for num_poses in (5, 4, 3, 2):
        chosen = np.unique((np.arange(num_poses) + 0.5) * len(points) // num_poses).astype(int)
        widths = all_widths[chosen]
        gap = (CELL[0] - widths.sum()) / max(1, len(chosen) - 1)
        if gap >= MIN_GAP:
            break
    gap = np.clip(gap, MIN_GAP, MAX_GAP)
    lefts = np.cumsum(widths + gap) - widths - gap
    poses = points[chosen]
    poses[..., 0] += lefts[:, None, None]
    return poses / max(1, *(np.nanmax(poses, axis=(0, 1, 2)) / CELL))


def draw_title(axes: Axes, corner: np.ndarray, text: str) -> None:
    """Write above the cell with this upper left corner, cutting off what is wider than the cell."""
    text = " ".join(text.split())
    max_width = CELL[0] * PIXELS_PER_METER
    x, y = corner
    title = axes.text(x, y, text, fontsize=7, color=TITLE_COLOR, va="bottom", parse_math=False)
    while (width := title.get_window_extent().width) > max_width:
        text = text[: min(len(text) - 1, int(len(text) * max_width / width))]
        title.set_text(text.rstrip() + "…")


def draw_poses(axes: Axes, corner: np.ndarray, poses: np.ndarray, skeleton: Skeleton) -> None:
    """Draw poses (P, M, V, 2) on ground into the cell with this lower left corner."""
    for pose in poses:
        draw_pose(axes, pose + corner, skeleton, bone_width=1.1)
        ends = corner[0] + np.array([np.nanmin(pose[..., 0]), np.nanmax(pose[..., 0])])
        axes.plot(ends, corner[[1, 1]], color="#d0d0d0", linewidth=0.6)


def draw_sheet(drawings: Sequence[Drawing]) -> FigureCanvasAgg:
    """Draw each in a cell of its own, row by row."""
    step = CELL + MARGIN + np.array([0, TITLE_HEIGHT])
    # The sheet is about as wide as a slide.
    columns = min(len(drawings), round(np.sqrt(len(drawings) * 16 / 9 * step[1] / step[0])))
    rows = -(-len(drawings) // columns)
    width, height = step * (columns, rows)  # meters
    inches = step * (columns, rows) * PIXELS_PER_METER / 150
    canvas = FigureCanvasAgg(Figure(figsize=tuple(inches), dpi=150))
    axes = canvas.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    for i, drawing in enumerate(drawings):
        row, column = divmod(i, columns)
        corner = step * (column, rows - 1 - row) + MARGIN / 2
        title_corner = corner + np.array([0, CELL[1] + TITLE_HEIGHT / 2])
        draw_title(axes, title_corner, f"{drawing.name}: {drawing.class_name}")
        draw_poses(axes, corner, line_up(project(drawing).points), drawing.skeleton)
    return canvas


def draw_contact_sheet(store: SequenceStore, out: Path) -> int:
    """Draw one sequence of each class into a PNG; returns the number of classes with sequences."""
    examples = [choose_example(store, label) for label in np.unique(store.table.label)]
    drawings = [
        Drawing(str(e.label + 1), store.class_names[e.label], e.frames, store.skeleton)
        for e in examples
    ]
    with atomic_write(out) as file:
        to_image(draw_sheet(drawings)).save(file, format="png", optimize=True)
    return len(drawings)
