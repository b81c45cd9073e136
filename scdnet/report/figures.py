"""Parts of a report as figures for papers: vector or pixels, 8 pt. Needs matplotlib."""

from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scdnet.data.store import SequenceStore
from scdnet.files import atomic_write
from scdnet.report.curves import build_curves
from scdnet.report.payload import Findings
from scdnet.viz.contact_sheet import CELL, draw_poses, line_up
from scdnet.viz.drawing import Drawing
from scdnet.viz.render import TITLE_COLOR, project

# The text width of a paper of two columns, and the width of one column.
PAGE_INCHES = 7.0
COLUMN_INCHES = 3.4
DPI = 300
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    # Text stays text, so that it can be edited and searched.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # The same figure gives the same file.
    "svg.hashsalt": "scdnet",
}
# Colors of Okabe & Ito, distinct to the color-blind; gray instead of their yellow, which is too
# pale on paper.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000", "#7f7f7f")
MARKERS = "osD^vPX*"
NUM_QUERIES = 6


def draw_parts(findings: Findings, store: SequenceStore, figures: Mapping[Path, str]) -> None:
    """Draw parts, keys of PARTS, which are given by the paths of their files."""
    with mpl.rc_context(STYLE):
        for path, part in figures.items():
            figure = PARTS[part](findings, store)
            form = path.suffix[1:].lower()
            metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
            with atomic_write(path) as file:
                figure.savefig(
                    file, format=form, dpi=DPI, bbox_inches="tight", metadata=metadata.get(form)
                )


def draw_training(findings: Findings, _: SequenceStore) -> Figure:
    """Draw the curves of all runs: a color for each metric, a line style for each run."""
    curves = build_curves(findings.curves)
    charts = curves["charts"]
    columns = min(3, max(1, len(charts)))
    rows = max(1, -(-len(charts) // columns))
    figure, all_axes = _grid(rows, columns, (PAGE_INCHES, 1.7 * rows))
    for axes, chart in zip(all_axes, charts, strict=False):
        for color, key in zip(cycle(COLORS), chart["keys"], strict=False):
            for style, run in zip(cycle(("-", "--", ":", "-.")), curves["runs"], strict=False):
                values = [np.nan if value is None else value for value in run["series"][key["key"]]]
                label = key["label"] if run is curves["runs"][0] else None
                axes.plot(run["x"], values, style, color=color, label=label)
        axes.set(title=chart["title"], xlabel=curves["xLabel"])
        if chart["reference"]:
            axes.axhline(chart["reference"]["value"], color="#7f7f7f", lw=0.6, ls=":")
        if chart["log"]:
            axes.set_yscale("log")
        if len(chart["keys"]) > 1:
            axes.legend(frameon=False)
    for axes in all_axes[len(charts) :]:
        axes.set_axis_off()
    return figure


def draw_map(findings: Findings, _: SequenceStore) -> Figure:
    """Draw all maps beside each other: classes by color and marker, training sequences hollow."""
    rows = findings.selection.rows
    label = findings.table.label.numpy()[rows]
    is_train = findings.is_train[rows]
    maps = findings.maps
    figure, all_axes = _grid(1, max(1, len(maps)), (PAGE_INCHES, PAGE_INCHES / max(2, len(maps))))
    classes = np.unique(label).tolist()
    for axes, one in zip(all_axes, maps, strict=False):
        for c, (marker, color) in zip(classes, _styles(), strict=False):
            for is_shown, face in ((is_train, "none"), (~is_train, color)):
                x, y = one.points[(label == c) & is_shown].T
                axes.scatter(x, y, s=7, marker=marker, facecolors=face, edgecolors=color, lw=0.5)
        axes.set(title=one.name, xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
    for axes in all_axes[len(maps) :]:
        axes.set_axis_off()
    names = [_shorten(findings.table.class_names[c]) for c in classes]
    handles = [
        mpl.lines.Line2D([], [], ls="", marker=marker, color=color, ms=4, label=name)
        for name, (marker, color) in zip(names, _styles(), strict=False)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _styles() -> Any:
    """Yield a marker and a color for each class, each pair once for 64 classes."""
    return (
        (MARKERS[(i // len(COLORS)) % len(MARKERS)], color) for i, color in enumerate(cycle(COLORS))
    )


def draw_confusion(findings: Findings, _: SequenceStore) -> Figure:
    """Draw the confusion matrix: the share of each true class, similar classes together."""
    confusion = findings.confusion
    num = len(confusion.order)
    shares = 100 * confusion.counts / np.maximum(confusion.counts.sum(axis=1, keepdims=True), 1)
    # Names of 8 pt take 0.14 inches; those of very many classes are smaller.
    side = float(np.clip(0.14 * num, COLUMN_INCHES, PAGE_INCHES))
    figure, (axes,) = _grid(1, 1, (side, side))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    names = [_shorten(findings.table.class_names[c]) for c in confusion.order.tolist()]
    size = float(np.clip(57 * side / num, 2.5, 8))
    axes.set_xticks(range(num), names, rotation=90, fontsize=size)
    axes.set_yticks(range(num), names, fontsize=size)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, label="% of the true class", shrink=0.6)
    return figure


def draw_classes(findings: Findings, _: SequenceStore) -> Figure:
    """Draw the accuracy of each class with its 95 % interval, the best on top."""
    tested = [one for one in findings.confusion.accuracy if one.num]
    tested.sort(key=lambda one: one.correct / one.num)
    values = np.array([100 * one.correct / one.num for one in tested])
    errors = [
        [value - one.low for value, one in zip(values, tested, strict=True)],
        [one.high - value for value, one in zip(values, tested, strict=True)],
    ]
    figure, (axes,) = _grid(1, 1, (COLUMN_INCHES, max(1.2, 0.16 * len(tested) + 0.5)))
    places = np.arange(len(tested))
    # Rounding may put a bound on the wrong side of its value.
    axes.errorbar(
        values, places, xerr=np.maximum(errors, 0), fmt="o", ms=3, color=COLORS[0], elinewidth=0.8
    )
    names = [f"{_shorten(findings.table.class_names[one.label])} ({one.num})" for one in tested]
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 102), ylim=(-0.7, len(tested) - 0.3), xlabel="1-NN accuracy, %")
    axes.grid(axis="x", lw=0.4, color="#dddddd")
    return figure


def draw_gallery(findings: Findings, store: SequenceStore) -> Figure:
    """Draw the hardest queries, each with its nearest neighbors; right ones are underlined."""
    retrieval = findings.retrieval
    queries = findings.selection.queries[:NUM_QUERIES].tolist()
    label = findings.table.label
    columns = 1 + retrieval.neighbors.shape[1]
    inches = (PAGE_INCHES, PAGE_INCHES / columns * len(queries) * CELL[1] / CELL[0] * 1.35)
    figure, all_axes = _grid(len(queries), columns, inches)
    cells = iter(all_axes)
    for query in queries:
        row = int(retrieval.queries[query])
        _draw_cell(next(cells), store, row, "query")
        for near in retrieval.neighbors[query].tolist():
            _draw_cell(next(cells), store, near, "right" if label[near] == label[row] else "wrong")
    return figure


def _draw_cell(axes: Axes, store: SequenceStore, row: int, kind: str) -> None:
    """Draw poses of a sequence beneath the name of its class."""
    sequence = store[row]
    class_name = store.class_names[sequence.label]
    drawing = Drawing(sequence.name, class_name, sequence.frames, store.skeleton)
    axes.set(xlim=(0, CELL[0]), ylim=(-0.1, CELL[1]), aspect="equal")
    axes.set_axis_off()
    sign = {"query": "", "right": "✓ ", "wrong": "✗ "}[kind]
    color = {"query": TITLE_COLOR, "right": COLORS[2], "wrong": COLORS[3]}[kind]
    weight = "bold" if kind == "query" else "normal"
    axes.set_title(f"{sign}{_shorten(class_name, 15)}", color=color, fontweight=weight)
    # A sequence without a body has nothing to draw.
    if sequence.frames.any():
        draw_poses(axes, np.zeros(2), line_up(project(drawing).points), store.skeleton)


def _grid(rows: int, columns: int, inches: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=inches, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _shorten(text: str, limit: int = 28) -> str:
    """Return a class name in one line of at most `limit` letters, without mathematics."""
    text = " ".join(text.split()).replace("$", r"\$")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# The parts of a report that can be drawn.
PARTS: dict[str, Callable[[Findings, SequenceStore], Figure]] = {
    "training": draw_training,
    "gallery": draw_gallery,
    "map": draw_map,
    "confusion": draw_confusion,
    "classes": draw_classes,
}
