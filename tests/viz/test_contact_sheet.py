from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from scdnet.data.store import SequenceStore, SkeletonSequence, open_sequences
from scdnet.skeletons import NTU_25, SKELETONS
from scdnet.viz import contact_sheet
from scdnet.viz.contact_sheet import (
    CELL,
    FEET,
    choose_example,
    draw_contact_sheet,
    draw_sheet,
    line_up,
    uprightness,
)
from scdnet.viz.drawing import Drawing
from scdnet.viz.render import to_image
from tests.conftest import write_synthetic_store
from tests.stores import CRANE

# Ankles and feet of left and right.
LOWEST = [14, 15, 18, 19]
MakeStore = Callable[..., SequenceStore]


def column(height: float = 1.0) -> np.ndarray:
    """Return (M, V, 2): one body on a line from 0, 0 upwards and 0.4 m to the right, one absent."""
    pose = np.full((2, 25, 2), np.nan)
    pose[0] = np.linspace(0, 1, 25)[:, None] * (0.4, height)
    return pose


def standing(
    name: str, label: int = 0, *, frames: int = 10, lean: float = 0.0, two: bool = False
) -> SkeletonSequence:
    """Return bodies that stand and lean back by `lean` meters from foot to head."""
    values = np.zeros((frames, 2, 25, 3), dtype=np.float32)
    values[:, : 1 + two, :, 2] = np.linspace(1, 1.7, 25)
    values[:, : 1 + two, LOWEST, 2] = 0.1
    values[..., 1] = lean * values[..., 2]
    return SkeletonSequence(values, name, label)


def titles(canvas: FigureCanvasAgg) -> list[str]:
    return [text.get_text() for text in canvas.figure.axes[0].texts]


@pytest.fixture
def drawn(monkeypatch) -> list[FigureCanvasAgg]:
    """Collect the sheets that are drawn."""
    canvases = []

    def collect(canvas: FigureCanvasAgg) -> Image.Image:
        canvases.append(canvas)
        return to_image(canvas)

    monkeypatch.setattr(contact_sheet, "to_image", collect)
    return canvases


def test_one_cell_for_each_class_with_sequences_titled_with_number_and_name(
    make_store: MakeStore, tmp_path, drawn
):
    sequences = [standing("a", 3), standing("b", 0), standing("c", 3), standing("d", 1)]
    store = make_store(sequences, ["wave", "kick", "never done", "bow"])
    assert draw_contact_sheet(store, tmp_path / "sheet.png") == 3
    assert titles(drawn[0]) == ["1: wave", "2: kick", "4: bow"]


@pytest.mark.parametrize(
    "sequences",
    [
        [standing("a", two=True), standing("b", lean=0.1), standing("c", lean=0.1)],
        [standing("a"), standing("b", lean=0.1, two=True), standing("c", lean=0.1, two=True)],
        [standing("a", lean=0.3), standing("b", lean=-0.1), standing("c", lean=0.2)],
        [standing("a", 1), standing("b", lean=0.1)],
    ],
    ids=["one body like most", "two bodies like most", "the straightest body", "the class"],
)
def test_the_sequence_that_is_drawn_has(make_store: MakeStore, sequences: list[SkeletonSequence]):
    assert choose_example(make_store(sequences, ["wave", "kick"]), 0).name == "b"


def test_only_sequences_of_about_the_median_length_are_looked_at(
    make_store: MakeStore, monkeypatch
):
    monkeypatch.setattr(contact_sheet, "MAX_CANDIDATES", 1)
    sequences = [
        standing("a", frames=2),
        standing("b", frames=9, lean=0.1),
        standing("c", frames=30),
    ]
    assert choose_example(make_store(sequences, ["wave"]), 0).name == "b"


def test_poses_stand_on_the_ground_in_order_of_time_without_touching_each_other():
    heights = np.linspace(0.5, 1.5, 20)
    poses = line_up(np.stack([column(height) for height in heights]) - 7)
    # Poses that are 0.4 m wide all fit.
    assert len(poses) == 5
    left = poses[:, 0, :, 0].min(axis=1)
    right = poses[:, 0, :, 0].max(axis=1)
    assert left[0] == pytest.approx(0) and right[-1] <= CELL[0]
    assert (right[:-1] + 0.1 < left[1:]).all()
    assert np.allclose(poses[:, 0, :, 1].min(axis=1), 0)
    # They grow with time.
    assert (np.diff(poses[:, 0, :, 1].max(axis=1)) > 0).all()


def test_absent_bodies_stay_absent_and_frames_without_any_are_left_out():
    points = np.stack([column(1.0), np.full((2, 25, 2), np.nan), column(1.5)])
    poses = line_up(points)
    assert len(poses) == 2 and np.isnan(poses[:, 1]).all() and np.isfinite(poses[:, 0]).all()


@pytest.mark.parametrize(
    ("width", "num_poses", "scale"),
    # The last: two poses of 3.7 m and 0.12 m between them take 7.52 m.
    [(0.9, 3, 1.0), (1.7, 2, 1.0), (3.7, 2, 3.7 / 7.52)],
)
def test_wide_poses_are_fewer_and_at_last_smaller(width: float, num_poses: int, scale: float):
    points = np.stack([column(height) for height in np.linspace(0.5, 1.5, 20)]) * (width / 0.4, 1)
    poses = line_up(points)
    assert len(poses) == num_poses
    assert np.ptp(poses[0, 0, :, 0]) == pytest.approx(width * scale)
    assert np.nanmax(poses[..., 0]) <= CELL[0] + 1e-9


def test_high_poses_are_made_smaller():
    assert np.nanmax(line_up(column(8.0)[None])[..., 1]) == pytest.approx(CELL[1])


@pytest.mark.parametrize("num_cells", [1, 2, 12, 51, 60, 120])
def test_sheets_are_about_as_wide_as_slides_and_cells_lie_apart(num_cells: int, monkeypatch):
    # Titles alone are drawn in a fraction of the time.
    monkeypatch.setattr(contact_sheet, "draw_poses", lambda *_: None)
    name = "a name that is much too long to stand above a single cell in one line"
    frames = standing("a", frames=1).frames
    canvas = draw_sheet([Drawing(str(number), name, frames, NTU_25) for number in range(num_cells)])
    boxes = [text.get_window_extent() for text in canvas.figure.axes[0].texts]
    for number, text in enumerate(titles(canvas)):
        assert text.startswith(f"{number}: a name") and text.endswith("…")
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    width, height = canvas.get_width_height()
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= height for box in boxes)
    assert num_cells < 12 or 1.3 < width / height < 2.2


def test_figures_lie_between_their_own_title_and_the_next():
    frames = standing("a", frames=1).frames
    # They are too high and made to fit.
    frames[..., 2] *= 3
    canvas = draw_sheet([Drawing(str(n), f"class {n}", frames, NTU_25) for n in range(20)])
    axes = canvas.figure.axes[0]
    # Every second collection is a body 0.
    figures = [np.concatenate(lines.get_segments()[:24]) for lines in axes.collections[::2]]
    boxes = [text.get_window_extent() for text in axes.texts]
    for box, figure in zip(boxes, figures, strict=True):
        pixels = axes.transData.transform(figure)
        assert box.x0 <= pixels[:, 0].min() + 1 and pixels[:, 1].max() < box.y0
        assert all(other.y1 < pixels[:, 1].min() for other in boxes if other.y1 < box.y0)


def test_cells_follow_each_other_like_words_on_a_page(monkeypatch):
    monkeypatch.setattr(contact_sheet, "draw_poses", lambda *_: None)
    frames = standing("a").frames
    canvas = draw_sheet([Drawing(str(number), "wave", frames, NTU_25) for number in range(12)])
    corners = [text.get_position() for text in canvas.figure.axes[0].texts]
    assert len({y for _, y in corners}) == 3
    assert corners == sorted(corners, key=lambda corner: (-corner[1], corner[0]))


def test_letters_with_a_meaning_to_matplotlib_are_drawn_as_they_are():
    frames = standing("a").frames
    canvas = draw_sheet([Drawing("1", "$\\frac$ and\na line", frames, NTU_25)])
    canvas.draw()
    assert titles(canvas) == ["1: $\\frac$ and a line"]


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), CRANE], ids=lambda s: s.name)
def test_a_sheet_of_any_skeleton_has_its_bones(tmp_path, drawn, skeleton):
    path = write_synthetic_store(tmp_path / "a.h5", skeleton=skeleton, per_split=2, frames=9)
    with open_sequences(path) as store:
        assert draw_contact_sheet(store, tmp_path / "sheet.png") == 2
    segments = [lines.get_segments() for lines in drawn[0].figure.axes[0].collections]
    assert {len(bones) for bones in segments} == {skeleton.num_joints - 1}
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_whoever_stands_is_upright_and_whoever_lies_is_not(skeleton):
    up = skeleton.dims - 1
    frames = np.zeros((5, 2, skeleton.num_joints, 3))
    for joint, name in enumerate(skeleton.joints):
        # Of what is not named, the spine alone is looked at.
        frames[:, 0, joint, up] = -1 if any(part in name for part in FEET) else 0.5
    frames[:, 0, list(skeleton.spine[0]), up] = 0
    assert uprightness(frames, skeleton) == pytest.approx(1)
    assert uprightness(-frames, skeleton) == pytest.approx(-1)
    lying = np.roll(frames[..., : skeleton.dims], 1, axis=-1)
    assert uprightness(lying, skeleton) == pytest.approx(0)
