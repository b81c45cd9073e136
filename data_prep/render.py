"""Draws sequences as stick figures: strips of poses (png) or moving ones (gif). Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from scdnet.errors import ScdnetError
from scdnet.skeleton import NTU_25

AZIMUTH_DEG, ELEVATION_DEG = 35, 12  # where the viewer stands: from straight ahead of body 0, above the horizontal
COLOURS = (  # of each body: trunk, left, right. Vermilion and blue of Okabe & Ito: distinct to the colour-blind
    ("#3b3b3b", "#d55e00", "#0072b2"),
    ("#a8a8a8", "#f0a875", "#7cb8de"),
)
FRAME_RATE = 30  # Hz, of the recordings
GIF_RATE = 15  # Hz, of the animation
MAX_GIF_S = 8.0
POSES = 8  # in a strip
COLUMNS = 4  # sequences beside each other in an animation
FIGURE_M = 0.75  # inches that a metre takes in a strip


class Drawing(NamedTuple):
    """What is drawn."""

    title: str
    frames: np.ndarray  # (T, M, V, C) metres, normalised: z up, body 0 faces +y


class Window(NamedTuple):
    """The part of the picture plane that is shown, metres."""

    left: float
    right: float
    low: float
    high: float


def project(frames: np.ndarray) -> np.ndarray:
    """(..., C) metres -> (..., 2): to the right and up in the picture plane of the viewer."""
    azimuth, elevation = np.deg2rad([AZIMUTH_DEG, ELEVATION_DEG])
    viewer = np.array([np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.array([-np.cos(azimuth), np.sin(azimuth), 0])
    return frames @ np.stack([right, np.cross(viewer, right)], axis=-1)


def find_window(drawings: Sequence[Drawing], margin: float = 0.12) -> Window:
    """A window that holds all bodies of all frames but for the odd joint that jumped away."""
    flat = np.concatenate([project(d.frames[present_bodies(d.frames)]).reshape(-1, 2) for d in drawings])
    (left, low), (right, high) = np.percentile(flat, [0.2, 99.8], axis=0)
    return Window(left - margin, right + margin, low - margin, high + margin)


def present_bodies(frames: np.ndarray) -> np.ndarray:
    """(T, M) bool: which bodies are there; an absent one is all zero."""
    return (frames != 0).any(axis=(2, 3))


def bone_colours(body: int) -> list[str]:
    """One colour for each of the skeleton's bones, by the side of its child joint."""
    trunk, left, right = COLOURS[body]
    words = [NTU_25.joints[child].split() for child, _ in NTU_25.bones]
    return [left if "left" in word else right if "right" in word else trunk for word in words]


def draw_pose(axes: Axes, pose: np.ndarray, *, shift: float = 0.0) -> list[LineCollection]:
    """Draw one frame (M, V, C), `shift` metres to the right; returns what was added."""
    added = []
    for body in np.flatnonzero(present_bodies(pose[None])[0])[::-1]:
        points = project(pose[body]) + np.array([shift, 0])
        bones = [points[list(bone)] for bone in NTU_25.bones]
        lines = LineCollection(bones, colors=bone_colours(body), linewidths=1.8, capstyle="round", zorder=3 - body)
        added.append(axes.add_collection(lines))
    return added


def draw_strips(drawings: Sequence[Drawing], out: Path) -> None:
    """A row of poses for each sequence, time from left to right."""
    window = find_window(drawings)
    step, height = window.right - window.left, window.high - window.low
    figure = Figure(figsize=(POSES * step * FIGURE_M, len(drawings) * (height * FIGURE_M + 0.25)), layout="constrained")
    grid = figure.subplots(len(drawings), squeeze=False)[:, 0]
    for axes, drawing in zip(grid, drawings, strict=True):
        _clear(axes, drawing.title)
        axes.set_xlim(window.left, window.left + POSES * step)
        axes.set_ylim(window.low, window.high)
        chosen = np.linspace(0, len(drawing.frames) - 1, POSES).round().astype(int)
        for place, frame in enumerate(chosen):
            draw_pose(axes, drawing.frames[frame], shift=place * step)
    figure.savefig(out, dpi=110)


def draw_animation(drawings: Sequence[Drawing], out: Path) -> None:
    """All sequences at once, each from its start, the shorter ones over and over again."""
    window = find_window(drawings)
    columns = min(COLUMNS, len(drawings))
    rows = -(-len(drawings) // columns)
    size = 1.1 * (window.right - window.left), 1.1 * (window.high - window.low) + 0.25
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        _clear(axes, "")
    for axes, drawing in zip(grid, drawings, strict=False):
        axes.set_title(drawing.title, fontsize=8)
        axes.set_xlim(window.left, window.right)
        axes.set_ylim(window.low, window.high)
    seconds = min(max(len(d.frames) for d in drawings) / FRAME_RATE, MAX_GIF_S)
    writer = PillowWriter(fps=GIF_RATE)
    with writer.saving(figure, str(out), dpi=80):
        for tick in range(int(seconds * GIF_RATE)):
            now = tick * FRAME_RATE // GIF_RATE
            poses = [draw_pose(axes, d.frames[now % len(d.frames)]) for axes, d in zip(grid, drawings, strict=False)]
            writer.grab_frame()
            for lines in (line for pose in poses for line in pose):
                lines.remove()


def _clear(axes: Axes, title: str) -> None:
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, loc="left")


PAINTERS = {".png": draw_strips, ".gif": draw_animation}


def render(drawings: Sequence[Drawing], out: Path) -> None:
    """Draw into `out`; its suffix says how. Raises ScdnetError if it is none of PAINTERS."""
    if out.suffix.lower() not in PAINTERS:
        raise ScdnetError(f"{out}: expected a name that ends in {' or '.join(PAINTERS)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    PAINTERS[out.suffix.lower()](drawings, out)
