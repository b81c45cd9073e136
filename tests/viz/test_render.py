from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scdnet.errors import ScdnetError
from scdnet.skeletons import NTU_25
from scdnet.viz.drawing import Drawing
from scdnet.viz.render import bone_colors, project, render


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
def test_a_picture_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch, suffix):
    def fill_the_disk(image, path, **_):
        path.write_bytes(b"half")
        raise OSError("no space")

    out = tmp_path / f"x{suffix}"
    out.write_bytes(b"the earlier one")
    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(OSError, match="no space"):
        render([Drawing("a", "bow", upright_bodies(1), NTU_25)], out)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the earlier one"]


def test_path_of_a_picture_may_have_no_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    render([Drawing("a", "bow", upright_bodies(1), NTU_25)], Path("plain.png"))
    assert Path("plain.png").is_file()
