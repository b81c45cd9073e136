"""Draws sequences as stick figures: strips of poses (png) or animations (gif). Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import IO, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.skeleton import Skeleton
from scdnet.viz.drawing import Drawing

# Colors of trunk, left and right of each body. Vermilion and blue of Okabe & Ito are distinct to
# the color-blind.
COLORS = (
    ("#3b3b3b", "#d55e00", "#0072b2"),
    ("#a0a0a0", "#f0a875", "#7cb8de"),
)
TITLE_COLOR = "#3b3b3b"
# Poses of a sequence in a strip.
NUM_POSES = 8
# Letters per line of the title of an animation.
MAX_LETTERS = 24
# The trunk of 2-D frames has length 1; that of people is drawn as long as this.
TRUNK = 0.5  # meters


class Projection(NamedTuple):
    """A drawing as the viewer sees it."""

    drawing: Drawing
    # Metres to the right and up; nan for absent bodies and joints.
    points: np.ndarray  # (T, M, V, 2)
    # The corners of what is shown; a joint that jumps far away is left out.
    low: np.ndarray  # (2,)
    high: np.ndarray  # (2,)


def project(drawing: Drawing) -> Projection:
    """Project a drawing to the viewer's plane. Raises ScdnetError if it has no body."""
    present = (drawing.frames != 0).any(axis=(2, 3))  # (T, M)
    if not present.any():
        raise ScdnetError(
            f"{drawing.name} ({drawing.class_name}): nothing to draw, no body in any frame"
        )
    if drawing.skeleton.dims == 2:
        is_found = drawing.frames[..., 2] > 0  # (T, M, V)
        points = TRUNK * drawing.frames[..., :2]
    else:
        is_found = np.broadcast_to(present[..., None], drawing.frames.shape[:3])
        points = drawing.frames @ view_of(is_pair=bool(present[:, 1:].any()))
    low, high = np.percentile(points[is_found], [0.3, 99.7], axis=0)
    points = np.where(is_found[..., None], points, np.nan)
    return Projection(drawing, points, low - 0.1, high + 0.1)


def view_of(*, is_pair: bool) -> np.ndarray:
    """Return the map (3, 2) from z-up coordinates to the plane of a viewer, right and up.

    The viewer stands to the left of where body 0 faces, farther if it faces another body.
    """
    azimuth, elevation = np.deg2rad([65 if is_pair else 35, 10])
    ahead = np.array([np.sin(azimuth), np.cos(azimuth)])
    viewer = np.array([*(ahead * np.cos(elevation)), np.sin(elevation)])
    right = np.array([-ahead[1], ahead[0], 0])
    return np.stack([right, np.cross(viewer, right)], axis=-1)


def bone_colors(skeleton: Skeleton, body: int) -> list[str]:
    """Return the color of each of the skeleton's bones, by the side of its child joint."""
    trunk, left, right = COLORS[body]
    children = [skeleton.joints[child].lower() for child, _ in skeleton.bones]
    return [left if "left" in name else right if "right" in name else trunk for name in children]


def draw_pose(
    axes: Axes, pose: np.ndarray, skeleton: Skeleton, *, bone_width: float = 1.7
) -> list[LineCollection]:
    """Draw one frame (M, V, 2), body 0 in front; returns what was added."""
    bodies = []
    for body, points in enumerate(pose):
        bones = points[np.array(skeleton.bones)]  # (bones, 2 ends, 2)
        lines = LineCollection(
            list(bones), colors=bone_colors(skeleton, body), linewidths=bone_width, capstyle="round"
        )
        lines.set_zorder(3 - body)
        axes.add_collection(lines, autolim=False)
        bodies.append(lines)
    return bodies


def frame_axes(axes: Axes, picture: Projection, size: np.ndarray, *, title: str) -> None:
    """Show `size` meters around the middle of a picture, with a border if it is marked."""
    middle = (picture.low + picture.high) / 2
    xlim, ylim = np.stack([middle - size / 2, middle + size / 2], axis=1)
    # The green of Okabe & Ito marks.
    color = "#009e73" if picture.drawing.is_marked else TITLE_COLOR
    axes.set(xlim=xlim, ylim=ylim, aspect="equal")
    axes.set_title(title, fontsize=8, loc="left", color=color, parse_math=False)
    if picture.drawing.is_marked:
        border = Rectangle(
            (0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=color, linewidth=2
        )
        axes.add_patch(border)


def to_image(canvas: FigureCanvasAgg) -> Image.Image:
    """Return what is drawn as an image of few colors, which makes small files."""
    canvas.draw()
    # Enough colors for the shades at the edges of lines.
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(48)


def make_grid(
    num_cells: int, columns: int, cell_inches: np.ndarray, *, dpi: int
) -> tuple[FigureCanvasAgg, list[Axes]]:
    """Make a figure of empty cells, row by row, each `cell_inches` (width, height) plus a title."""
    rows = -(-num_cells // columns)
    inches = (columns * cell_inches[0], rows * (cell_inches[1] + 0.3))
    figure = Figure(figsize=inches, dpi=dpi, layout="constrained")
    cells = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in cells:
        axes.set_axis_off()
    return FigureCanvasAgg(figure), cells


def draw_strips(pictures: Sequence[Projection], cell: np.ndarray, out: IO[bytes]) -> None:
    """Draw a row of poses, each in a `cell` (2,), for each sequence; time from left to right."""
    size = cell * (NUM_POSES, 1)
    columns = 1 if len(pictures) <= 6 else 2
    # A meter takes 0.75 inches.
    canvas, axes_of_all = make_grid(len(pictures), columns, 0.75 * size, dpi=100)
    for axes, picture in zip(axes_of_all, pictures, strict=False):
        title = f"{picture.drawing.name}: {picture.drawing.class_name}"
        frame_axes(axes, picture, size, title=title)
        frames = np.linspace(0, len(picture.points) - 1, NUM_POSES).round().astype(int)
        for place, frame in enumerate(frames):
            shift = cell * (place - (NUM_POSES - 1) / 2, 0)
            draw_pose(axes, picture.points[frame] + shift, picture.drawing.skeleton)
    to_image(canvas).save(out, format="png", optimize=True)


def draw_animation(pictures: Sequence[Projection], cell: np.ndarray, out: IO[bytes]) -> None:
    """Draw all sequences in motion, each in a `cell` (2,); the shorter ones are repeated."""
    # No more than four stand beside each other.
    rows = -(-len(pictures) // 4)
    columns = -(-len(pictures) // rows)
    # A meter takes 1.4 inches.
    canvas, axes_of_all = make_grid(len(pictures), columns, 1.4 * cell, dpi=75)
    for axes, picture in zip(axes_of_all, pictures, strict=False):
        name = picture.drawing.name
        if len(name) > MAX_LETTERS:
            name = name[: MAX_LETTERS - 1] + "…"
        class_name = shorten(picture.drawing.class_name, MAX_LETTERS, placeholder=" ...")
        frame_axes(axes, picture, cell, title=f"{name}\n{class_name}")
    # The first layout is kept for all frames.
    canvas.draw()
    canvas.figure.set_layout_engine("none")
    longest = max(len(picture.points) for picture in pictures)
    images = []
    # Every second frame, as long as 30 frames a second take 8 seconds.
    for frame in range(0, min(longest, 240), 2):
        bodies = []
        for axes, picture in zip(axes_of_all, pictures, strict=False):
            pose = picture.points[frame % len(picture.points)]
            bodies += draw_pose(axes, pose, picture.drawing.skeleton)
        images.append(to_image(canvas))
        for lines in bodies:
            lines.remove()
    images[0].save(
        out,
        format="gif",
        save_all=True,
        append_images=images[1:],
        duration=66,  # milliseconds
        loop=0,
        optimize=True,
    )


def render(drawings: Sequence[Drawing], out: Path) -> None:
    """Draw a strip for each drawing if `out` ends in .png, otherwise an animation (.gif)."""
    draw = draw_strips if out.suffix.lower() == ".png" else draw_animation
    pictures = [project(drawing) for drawing in drawings]
    # All fit into a cell of this width and height, in meters.
    cell = np.max([picture.high - picture.low for picture in pictures], axis=0)
    with atomic_write(out) as file:
        draw(pictures, cell, file)
