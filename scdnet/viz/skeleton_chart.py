"""A chart of a skeleton: numbered joints with their names beside a pose. Needs matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scdnet.data.store import SequenceStore
from scdnet.files import atomic_write
from scdnet.skeleton import Skeleton
from scdnet.viz.render import COLORS, TITLE_COLOR, bone_colors

# Heights of the pose and of a line of names, as a fraction of the chart.
POSE_HEIGHT = 0.9
MIN_LINE = 0.05
# Distance of the names from the middle, in heights of the chart.
LABEL_X = 0.52
SIZE_INCHES = (7, 5.2)


def draw_skeleton(skeleton: Skeleton, pose: np.ndarray, out: Path) -> None:
    """Draw joints (V, 2), x to the right and y up, with numbers and names, as .png or .svg.

    Left joints are orange, right ones blue; rings mark the center that normalization moves to the
    origin.
    """
    figure = Figure(figsize=SIZE_INCHES, dpi=150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.95, 0.95), ylim=(-0.06, 1.06))
    axes.set_axis_off()
    points = _fit(pose)
    for (child, parent), color in zip(skeleton.bones, bone_colors(skeleton, 0), strict=True):
        axes.plot(*points[[child, parent]].T, color=color, linewidth=2, solid_capstyle="round")
    trunk, left, right = COLORS[0]
    names = [name.lower() for name in skeleton.joints]
    colors = [left if "left" in name else right if "right" in name else trunk for name in names]
    axes.scatter(points[:, 0], points[:, 1], c=colors, s=14, zorder=3)
    center = points[list(skeleton.center)]
    axes.scatter(
        center[:, 0], center[:, 1], s=70, facecolors="none", edgecolors=TITLE_COLOR, zorder=4
    )
    _draw_names(axes, skeleton, points, colors)
    with atomic_write(out) as file:
        # The same skeleton gives the same file if it has no date and its ids are fixed.
        metadata = {"Date": None} if out.suffix.lower() == ".svg" else None
        canvas.figure.savefig(file, format=out.suffix[1:].lower(), metadata=metadata)


def front_pose(store: SequenceStore) -> np.ndarray:
    """Return body 0 (V, 2) of the first frame of a store as a viewer in front sees it.

    Joints that were not found are NaN.
    """
    body = store[0].frames[0, 0]  # (V, C)
    if store.skeleton.dims == 2:
        return np.where(body[:, 2:] > 0, body[:, :2], np.nan)
    # Body 0 faces +y, so that +x is on the left of the viewer.
    return body[:, [0, 2]] * [-1, 1]


def _fit(pose: np.ndarray) -> np.ndarray:
    """Scale and move joints (V, 2) to a height of POSE_HEIGHT around x = 0."""
    low = np.nanmin(pose, axis=0)
    high = np.nanmax(pose, axis=0)
    scale = POSE_HEIGHT / max(high - low)
    middle = np.array([(low[0] + high[0]) / 2, low[1]])
    return (pose - middle) * scale + [0, (1 - POSE_HEIGHT) / 2]


def _draw_names(axes: Axes, skeleton: Skeleton, points: np.ndarray, colors: list[str]) -> None:
    """Write number and name of each joint in a column on its side, with a line to the joint."""
    # Joints that were not found have no place. Those on the midline go to the column that has
    # fewer of them, from top to bottom.
    is_right = points[:, 0] > 0.01
    is_left = points[:, 0] < -0.01
    for joint in np.argsort(-points[:, 1], kind="stable"):
        is_placed = np.isnan(points[joint, 0]) or is_right[joint] or is_left[joint]
        if not is_placed:
            side = is_right if is_right.sum() <= is_left.sum() else is_left
            side[joint] = True
    for is_member, sign in ((is_left, -1), (is_right, 1)):
        members = np.flatnonzero(is_member)
        members = members[np.argsort(-points[members, 1], kind="stable")]
        for joint, height in zip(members, _spread(points[members, 1]), strict=True):
            x, y = points[joint]
            end = sign * LABEL_X
            axes.plot([x, end], [y, height], color="#c8c8c8", linewidth=0.6, zorder=0)
            axes.text(
                end + sign * 0.01,
                height,
                f"{joint} {skeleton.joints[joint]}",
                fontsize=8,
                ha="left" if sign > 0 else "right",
                va="center",
                color=colors[joint],
            )


def _spread(heights: np.ndarray) -> np.ndarray:
    """Move falling heights apart, to at least MIN_LINE from each other, within the chart."""
    step = min(MIN_LINE, 1 / max(len(heights), 1))
    spread = heights.copy()
    for i in range(1, len(spread)):
        spread[i] = min(spread[i], spread[i - 1] - step)
    # Push up again what has left the chart below.
    lowest = 0.0
    for i in range(len(spread) - 1, -1, -1):
        spread[i] = max(spread[i], lowest)
        lowest = spread[i] + step
    return spread
