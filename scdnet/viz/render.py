"""Draws sequences as stick figures: strips of poses (png) or moving ones (gif). Needs matplotlib."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from scdnet.errors import ScdnetError
from scdnet.files import atomic_write
from scdnet.skeleton import NTU_25

AZIMUTH_DEG = {
    1: 35,
    2: 65,
}  # by number of bodies: how far the viewer stands to the left of where body 0 faces
ELEVATION_DEG = 10  # and above the horizontal
COLORS = (  # of each body: trunk, left, right. Vermilion and blue of Okabe & Ito: distinct to the colour-blind
    ("#3b3b3b", "#d55e00", "#0072b2"),
    ("#a0a0a0", "#f0a875", "#7cb8de"),
)
FRAME_RATE = 30  # Hz, of the recordings
GIF_STEP = 2  # every second frame is shown
MAX_GIF_FRAMES = 120
NUM_COLORS = 48  # of a file, shades at the edges of lines included
POSES = 8  # in a strip
MAX_ROWS = 6  # of strips; more stand in two columns
COLUMNS = 4  # sequences beside each other in an animation, at most
BONE_WIDTH = 1.7  # points
INK, MARK = "#3b3b3b", "#009e73"  # of titles; of what is marked: the green of Okabe & Ito
STRIP_INCHES, GIF_INCHES = 0.75, 1.4  # that a metre takes
TITLE_INCHES = 0.3
TITLE_LETTERS = 24  # of each line of a title in an animation
DPI = {".png": 100, ".gif": 75}
MARGIN = 0.1  # metres around what is drawn


class Drawing(NamedTuple):
    """What is drawn."""

    name: str
    class_name: str
    frames: (
        np.ndarray
    )  # (T, M, V, C) metres, normalised: z up, body 0 faces +y at first; absent bodies zero
    is_marked: bool = False  # stands in a frame


class Picture(NamedTuple):
    """A drawing as the viewer sees it."""

    name: str
    class_name: str
    points: np.ndarray  # (T, M, V, 2) metres to the right and up; nan for absent bodies
    low: np.ndarray  # (2,) the corners of what is shown, a joint that jumps far away left out
    high: np.ndarray
    is_marked: bool


def project(drawing: Drawing) -> Picture:
    """Look at a drawing. Raises ScdnetError if there is no body in it."""
    present = (drawing.frames != 0).any(axis=(2, 3))  # (T, M)
    if not present.any():
        raise ScdnetError(
            f"{drawing.name} ({drawing.class_name}): expected something to draw, found no body in any frame"
        )
    azimuth, elevation = np.deg2rad([AZIMUTH_DEG[1 + int(present[:, 1:].any())], ELEVATION_DEG])
    viewer = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.cos(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    right = np.array([-np.cos(azimuth), np.sin(azimuth), 0])
    points = drawing.frames @ np.stack([right, np.cross(viewer, right)], axis=-1)
    low, high = np.percentile(points[present].reshape(-1, 2), [0.3, 99.7], axis=0)
    points = np.where(present[..., None, None], points, np.nan)
    return Picture(
        drawing.name, drawing.class_name, points, low - MARGIN, high + MARGIN, drawing.is_marked
    )


def common_size(pictures: Sequence[Picture]) -> np.ndarray:
    """(2,) metres: width and height that all pictures fit into."""
    return np.max([picture.high - picture.low for picture in pictures], axis=0)


def bone_colors(body: int) -> list[str]:
    """One colour for each of the skeleton's bones, by the side of its child joint."""
    trunk, left, right = COLORS[body]
    words = [NTU_25.joints[child].split() for child, _ in NTU_25.bones]
    return [left if "left" in word else right if "right" in word else trunk for word in words]


def draw_pose(
    axes: Axes, pose: np.ndarray, *, bone_width: float = BONE_WIDTH
) -> list[LineCollection]:
    """Draw one frame (M, V, 2), body 0 in front; returns what was added."""
    added = []
    for body, points in enumerate(pose):
        bones = points[np.array(NTU_25.bones)]  # (bones, 2 ends, 2)
        lines = LineCollection(
            list(bones), colors=bone_colors(body), linewidths=bone_width, capstyle="round"
        )
        lines.set_zorder(3 - body)
        added.append(axes.add_collection(lines, autolim=False))
    return added


def frame_axes(axes: Axes, picture: Picture, size: np.ndarray, *, title: str) -> None:
    """Show `size` metres around the middle of a picture, without any scale; a frame if it is marked."""
    middle = (picture.low + picture.high) / 2
    (left, low), (right, high) = middle - size / 2, middle + size / 2
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.set_title(
        title, fontsize=8, loc="left", color=MARK if picture.is_marked else INK, parse_math=False
    )
    if picture.is_marked:
        axes.add_patch(
            Rectangle(
                (0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=MARK, linewidth=2
            )
        )


def grab(canvas: FigureCanvasAgg) -> Image.Image:
    """What is drawn now, with few colours: small files."""
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(NUM_COLORS)


def make_grid(
    num_cells: int, columns: int, cell_inches: np.ndarray, dpi: int
) -> tuple[FigureCanvasAgg, list[Axes]]:
    """A figure of empty cells (width, height inches, titles not counted), row by row."""
    rows = -(-num_cells // columns)
    inches = columns * cell_inches[0], rows * (cell_inches[1] + TITLE_INCHES)
    figure = Figure(figsize=inches, dpi=dpi, layout="constrained")
    cells = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in cells:
        axes.set_axis_off()
    return FigureCanvasAgg(figure), cells


def draw_strips(pictures: Sequence[Picture], out: Path) -> None:
    """A row of poses for each sequence, time from left to right."""
    step, height = common_size(pictures)
    size = np.array([POSES * step, height])
    columns = 1 + (len(pictures) > MAX_ROWS)
    canvas, cells = make_grid(len(pictures), columns, size * STRIP_INCHES, DPI[".png"])
    for axes, picture in zip(cells, pictures, strict=False):
        frame_axes(axes, picture, size, title=f"{picture.name}: {picture.class_name}")
        for place, frame in enumerate(
            np.linspace(0, len(picture.points) - 1, POSES).round().astype(int)
        ):
            draw_pose(axes, picture.points[frame] + np.array([(place - (POSES - 1) / 2) * step, 0]))
    grab(canvas).save(out, format="png", optimize=True)


def draw_animation(pictures: Sequence[Picture], out: Path) -> None:
    """All sequences at once, each from its start, the shorter ones over and over again."""
    size = common_size(pictures)
    rows = -(-len(pictures) // COLUMNS)
    canvas, cells = make_grid(
        len(pictures), -(-len(pictures) // rows), size * GIF_INCHES, DPI[".gif"]
    )
    for axes, picture in zip(cells, pictures, strict=False):
        name = (
            picture.name
            if len(picture.name) <= TITLE_LETTERS
            else picture.name[: TITLE_LETTERS - 1] + "…"
        )
        class_name = shorten(picture.class_name, TITLE_LETTERS, placeholder=" ...")
        frame_axes(axes, picture, size, title=f"{name}\n{class_name}")
    canvas.draw()
    canvas.figure.set_layout_engine("none")  # found once, kept for all frames
    longest = max(len(picture.points) for picture in pictures)
    images = []
    for frame in range(0, min(longest, GIF_STEP * MAX_GIF_FRAMES), GIF_STEP):
        poses = [
            draw_pose(axes, p.points[frame % len(p.points)])
            for axes, p in zip(cells, pictures, strict=False)
        ]
        images.append(grab(canvas))
        for lines in (line for pose in poses for line in pose):
            lines.remove()
    duration_ms = 1000 * GIF_STEP // FRAME_RATE
    first, *others = images
    first.save(
        out,
        format="gif",
        save_all=True,
        append_images=others,
        duration=duration_ms,
        loop=0,
        optimize=True,
    )


PAINTERS = {".png": draw_strips, ".gif": draw_animation}


def find_painter(out: Path) -> Callable[[Sequence[Picture], Path], None]:
    """What draws into `out`, as its suffix says. Raises ScdnetError if it is none of PAINTERS."""
    paint = PAINTERS.get(out.suffix.lower())
    if paint is None:
        raise ScdnetError(f"{out}: expected a name that ends in {' or '.join(PAINTERS)}")
    return paint


def render(drawings: Sequence[Drawing], out: Path) -> None:
    """Draw into `out`; its suffix says how. Raises ScdnetError as `find_painter`."""
    paint = find_painter(out)
    with atomic_write(out) as partial:
        paint([project(drawing) for drawing in drawings], partial)
