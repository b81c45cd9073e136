from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scdnet.commands import inspect_store as inspect_store
from scdnet.errors import ScdnetError
from scdnet.skeleton import NTU_25
from scdnet.viz.render import Drawing, bone_colors, project, render

NAME, OTHER = "S001C001P001R001A001", "S001C001P003R002A002"


def upright_bodies(num_bodies: int) -> np.ndarray:
    """(2, M, V, C) two frames of bodies that are columns of joints, z up."""
    frames = np.zeros((2, 2, 25, 3))
    frames[:, :num_bodies, :, 2] = np.linspace(0.1, 1.8, 25)
    return frames


def assert_is_a_picture_on_white(path: Path) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    assert 0.5 < (pixels == 255).all(axis=-1).mean() < 0.999  # mostly white, but something is drawn


def test_prints_what_a_store_holds_and_warns_where_it_is_not_what_is_published(store_path, capsys):
    inspect_store.main([str(store_path)])
    printed = capsys.readouterr()
    assert printed.out.startswith(
        f"{store_path}: ntu60\n16 sequences, 16 of them (100.0 %) with two bodies"
    )
    size = (
        "xsub has 8 training and 8 test sequences, not the 40,091 and 16,487 of the published ntu60"
    )
    assert printed.err == f"warning: {size}\n"


def test_contact_sheet_is_drawn_in_place_of_the_text(store_path, tmp_path, capsys):
    out = tmp_path / "new" / "sheet.PNG"
    inspect_store.main([str(store_path), "--contact-sheet", str(out)])
    assert capsys.readouterr().out == f"drew 2 of 16 sequences in {out}\n"
    assert_is_a_picture_on_white(out)


@pytest.mark.parametrize("names", [NAME, f"{NAME},{OTHER}"])
def test_strip_is_a_picture_on_white(store_path, tmp_path, names):
    out = tmp_path / "new" / "strip.png"
    inspect_store.main([str(store_path), "--render", names, str(out)])
    assert_is_a_picture_on_white(out)


def test_animation_shows_every_second_frame(store_path, tmp_path):
    out = tmp_path / "moving.gif"
    inspect_store.main([str(store_path), "--render", NAME, str(out)])
    with Image.open(out) as image:
        assert image.n_frames == 35 and image.info["loop"] == 0  # of 70 frames; for ever


def test_unknown_name_is_refused_with_the_names_most_alike(store_path, tmp_path):
    with pytest.raises(
        ScdnetError, match=r"no sequence 'S001C001P001R001A009'; most alike: S001C001P001R001A001"
    ):
        inspect_store.main(
            [str(store_path), "--render", "S001C001P001R001A009", str(tmp_path / "x.png")]
        )


DRAWING_COMMANDS = {
    "--render": [NAME],
    "--contact-sheet": [],
}  # and what stands before the name of the file


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [
        ("--render", "x.jpg", ".png or .gif"),
        ("--contact-sheet", "x.gif", ".png"),
        ("--contact-sheet", "x", ".png"),
    ],
)
def test_unknown_kind_of_picture_is_refused(store_path, tmp_path, option, name, expected):
    out = tmp_path / name
    with pytest.raises(ScdnetError) as raised:
        inspect_store.main([str(store_path), option, *DRAWING_COMMANDS[option], str(out)])
    assert str(raised.value) == f"{out}: expected a name that ends in {expected}"


@pytest.mark.parametrize("option", DRAWING_COMMANDS)
def test_missing_matplotlib_is_said_with_its_remedy(store_path, tmp_path, monkeypatch, option):
    monkeypatch.setattr(inspect_store, "find_spec", lambda name: None)
    with pytest.raises(ScdnetError, match=r"needs matplotlib: pip install scdnet\[plot\]"):
        inspect_store.main(
            [str(store_path), option, *DRAWING_COMMANDS[option], str(tmp_path / "x.png")]
        )


def test_one_picture_at_a_time(store_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        inspect_store.main([str(store_path), "--contact-sheet", "x.png", "--render", NAME, "y.png"])
    assert "--render: not allowed with argument --contact-sheet" in capsys.readouterr().err


def test_a_drawing_without_a_body_is_refused():
    with pytest.raises(ScdnetError, match=r"^S001 \(bow\): .*no body in any frame"):
        project(Drawing("S001", "bow", upright_bodies(0)))


def test_missing_store_is_refused(tmp_path):
    with pytest.raises(ScdnetError, match="no such sequence store"):
        inspect_store.main([str(tmp_path / "none.h5")])


def test_options_are_not_abbreviated(store_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        inspect_store.main(
            [str(store_path), "--deb"]
        )  # would parse as --debug, which `run_command` reads by itself
    assert "unrecognized arguments: --deb" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".png", ".gif", ".PNG"])
def test_a_picture_that_cannot_be_written_leaves_the_earlier_one(
    store_path, tmp_path, monkeypatch, suffix
):
    def fill_the_disk(image, path, **_):
        path.write_bytes(b"half")
        raise OSError("no space")

    out = tmp_path / "pictures" / f"x{suffix}"
    inspect_store.main([str(store_path), "--render", NAME, str(out)])
    before = out.read_bytes()
    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(OSError, match="no space"):
        inspect_store.main([str(store_path), "--render", NAME, str(out)])
    assert [path.read_bytes() for path in out.parent.iterdir()] == [before]


def test_up_is_up_and_the_right_side_of_who_faces_the_viewer_is_on_the_left():
    frames = upright_bodies(1)
    frames[:, 0, 8, 0] = 0.5  # the right shoulder: +x
    points = project(Drawing("", "", frames)).points
    assert (np.diff(points[0, 0, :8, 1]) > 0).all()
    assert points[0, 0, 8, 0] < points[0, 0, 7, 0]


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_name_is_no_formula(tmp_path, suffix):
    render([Drawing(r"5$ \x$", r"$_$", upright_bodies(1))], tmp_path / f"x{suffix}")
    assert (tmp_path / f"x{suffix}").is_file()


def test_absent_bodies_are_not_drawn():
    points = project(Drawing("", "", upright_bodies(1))).points
    assert np.isnan(points[:, 1]).all() and np.isfinite(points[:, 0]).all()


def test_sides_differ_in_colour_and_mirror_each_other():
    colours = dict(zip((child for child, _ in NTU_25.bones), bone_colors(0), strict=True))
    trunk, left, right = colours[3], colours[5], colours[9]  # head, left elbow, right elbow
    swap = {trunk: trunk, left: right, right: left}
    assert len(swap) == 3
    assert all(swap[colour] == colours[NTU_25.mirror[child]] for child, colour in colours.items())


def test_picture_path_may_have_no_folder(store_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inspect_store.main([str(store_path), "--render", NAME, "plain.png"])
    assert Path("plain.png").is_file()
