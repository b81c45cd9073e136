from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scdnet.errors import ScdnetError
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25, SKELETONS
from scdnet.viz.drawing import Drawing
from scdnet.viz.render import COLORS, bone_colors, project, render
from tests.faults import largest_file

PLANAR = [skeleton for skeleton in SKELETONS.values() if skeleton.dims == 2]


def upright_bodies(num_bodies: int, num_frames: int = 2) -> np.ndarray:
    """Return frames (T, M, V, C) of bodies that are columns of joints, z up."""
    frames = np.zeros((num_frames, 2, 25, 3))
    frames[:, :num_bodies, :, 2] = np.linspace(0.1, 1.8, 25)
    return frames


def assert_is_a_picture_on_white(path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    # Mostly white, but something is drawn.
    assert 0.5 < (pixels == 255).all(axis=-1).mean() < 0.999


@pytest.mark.parametrize("num_drawings", [1, 2, 7])
def test_strip_is_a_picture_on_white(tmp_path, num_drawings):
    out = tmp_path / "new" / "strip.png"
    drawings = [
        Drawing(str(i), "bow", upright_bodies(1 + i % 2), NTU_25) for i in range(num_drawings)
    ]
    render(drawings, out)
    assert_is_a_picture_on_white(out)


def test_animation_shows_every_second_frame_of_the_longest_sequence(tmp_path):
    out = tmp_path / "moving.gif"
    frames = upright_bodies(1, num_frames=7)
    # Equal images would be merged.
    frames[..., 0] += 0.1 * np.arange(7)[:, None, None] * (frames[..., 2] != 0)
    drawings = [
        Drawing("long", "walk", frames, NTU_25),
        Drawing("short", "bow", upright_bodies(2), NTU_25),
    ]
    render(drawings, out)
    with Image.open(out) as image:
        # It is repeated for ever.
        assert image.n_frames == 4 and image.info["loop"] == 0


def test_a_marked_drawing_has_a_border(tmp_path):
    counts = []
    for is_marked in (False, True):
        render([Drawing("a", "bow", upright_bodies(1), NTU_25, is_marked)], tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        counts.append((np.abs(pixels - [0x00, 0x9E, 0x73]).max(axis=-1) < 20).sum())
    assert counts[0] == 0 and counts[1] > 200


def test_a_drawing_without_a_body_is_refused():
    with pytest.raises(ScdnetError, match=r"^S001 \(bow\): .*no body in any frame"):
        project(Drawing("S001", "bow", upright_bodies(0), NTU_25))


def test_up_is_up_and_the_right_side_of_who_faces_the_viewer_is_on_the_left():
    frames = upright_bodies(1)
    # The right shoulder points to +x.
    frames[:, 0, 8, 0] = 0.5
    points = project(Drawing("", "", frames, NTU_25)).points
    assert (np.diff(points[0, 0, :8, 1]) > 0).all()
    assert points[0, 0, 8, 0] < points[0, 0, 7, 0]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_name_is_no_formula_and_may_be_long(tmp_path, suffix):
    frames = upright_bodies(1)
    # A raised arm makes the picture as wide as a title.
    frames[:, 0, 8, 0] = 1.5
    render([Drawing(r"5$ \x$" + "x" * 30, r"$_$", frames, NTU_25)], tmp_path / f"x{suffix}")
    assert (tmp_path / f"x{suffix}").is_file()


def test_absent_bodies_are_not_drawn():
    points = project(Drawing("", "", upright_bodies(1), NTU_25)).points
    assert np.isnan(points[:, 1]).all() and np.isfinite(points[:, 0]).all()


def test_sides_differ_in_color_and_mirror_each_other():
    colors = dict(zip((child for child, _ in NTU_25.bones), bone_colors(NTU_25, 0), strict=True))
    # Head, left elbow, right elbow.
    trunk, left, right = colors[3], colors[5], colors[9]
    swap = {trunk: trunk, left: right, right: left}
    assert len(swap) == 3
    assert all(swap[color] == colors[NTU_25.mirror[child]] for child, color in colors.items())


@pytest.mark.parametrize("suffix", [".png", ".gif", ".PNG"])
def test_a_picture_that_cannot_be_written_leaves_the_earlier_one(tmp_path, suffix):
    out = tmp_path / f"x{suffix}"
    out.write_bytes(b"the earlier one")
    with largest_file(100), pytest.raises(ScdnetError, match=r"cannot be written \(File too large"):
        render([Drawing("a", "bow", upright_bodies(1), NTU_25)], out)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the earlier one"]


def test_path_of_a_picture_may_have_no_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    render([Drawing("a", "bow", upright_bodies(1), NTU_25)], Path("plain.png"))
    assert Path("plain.png").is_file()


def upright(skeleton: Skeleton, num_frames: int = 3) -> np.ndarray:
    """Return frames (T, M, V, C) of one body whose joints rise in their order, to the right."""
    height = np.linspace(-0.8, 0.9, skeleton.num_joints)
    frames = np.zeros((num_frames, 2, skeleton.num_joints, 3), np.float32)
    # Up is the last coordinate of a position.
    frames[:, 0, :, skeleton.dims - 1] = height
    frames[:, 0, :, 0] = 0.1 * height
    if skeleton.dims == 2:
        frames[:, 0, :, 2] = 0.9
    return frames


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_any_skeleton_is_drawn_upright(tmp_path, skeleton, suffix):
    drawing = Drawing("a", "bow", upright(skeleton), skeleton)
    points = project(drawing).points
    assert points.shape == (3, 2, skeleton.num_joints, 2)
    assert (np.diff(points[0, 0, :, 1]) > 0).all() and np.isnan(points[:, 1]).all()
    render([drawing], tmp_path / f"a{suffix}")
    assert_is_a_picture_on_white(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("skeleton", PLANAR, ids=lambda s: s.name)
def test_2d_joints_are_drawn_where_they_are_and_missing_ones_not_at_all(skeleton):
    frames = upright(skeleton)
    frames[1, 0, 3] = 0
    picture = project(Drawing("a", "bow", frames, skeleton))
    is_missing = np.isnan(picture.points).any(axis=-1)
    assert is_missing[1, 0, 3] and is_missing[:, 0].sum() == 1 and is_missing[:, 1].all()
    # A trunk of length 1 is drawn half a meter long; x is to the right.
    expected = 0.5 * frames[0, 0, :, :2]
    np.testing.assert_allclose(picture.points[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_sides_of_any_skeleton_have_colors_that_mirror_each_other(skeleton):
    children = [child for child, _ in skeleton.bones]
    colors = dict(zip(children, bone_colors(skeleton, 0), strict=True))
    for child in children:
        name = skeleton.joints[child]
        side = 1 if "left" in name else 2 if "right" in name else 0
        assert colors[child] == COLORS[0][side]


def test_sequences_of_several_skeletons_are_drawn_together(tmp_path):
    drawings = [Drawing(s.name, "bow", upright(s), s) for s in SKELETONS.values()]
    render(drawings, tmp_path / "a.png")
    assert_is_a_picture_on_white(tmp_path / "a.png")
