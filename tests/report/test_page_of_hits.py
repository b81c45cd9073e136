"""The page of a search in a real Chromium: the query and its hits in motion."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")

from axe_playwright_python.sync_playwright import Axe

from scdnet.raw.normalize import normalize
from scdnet.report import hits
from scdnet.report.hits import Moment, Search, write_hits
from scdnet.skeletons import NTU_25
from scdnet.synthetic.dataset import SUBJECTS, DemoPlan, Take, perform_take
from tests.report.browser import READ_OVERFLOW, drawing_on, seek

FPS = 60.0
HOSTILE = '</script><img src=x onerror="alert(1)">.csv'
FILES = ("mine.csv", HOSTILE, "recordings/session.csv", "a.csv", "b.csv", "c.csv", "d.csv")


def make_moments() -> list[Moment]:
    """Return the movements of seven people, the first of whom is the query."""
    plan = DemoPlan(subjects=8, ideal=True)
    moments = []
    for rank, file in enumerate(FILES):
        take = Take(3, SUBJECTS[rank], 1, 23)
        performance = perform_take(take, plan)
        joints = performance.joints[slice(*performance.action)].swapaxes(0, 1)
        frames = normalize(joints, NTU_25)
        moments.append(Moment(f"{rank}.00 - {rank + 1}.00 s", file, f"cosine 0.{9 - rank}", frames))
    return moments


MOMENTS = make_moments()
SEARCH = Search(
    title="What resembles <b>mine",
    outcome="The 6 most similar of 1,200 windows of 6 files.",
    facts=[("Encoder", "scdnet-small")],
    command="scdnet search mine.csv --in features.h5 --render hits.html",
    skeleton=NTU_25,
    fps=FPS,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hits") / "hits <b>.html"
    write_hits(path, SEARCH, MOMENTS)
    return path


@pytest.fixture
def page(chromium, path: Path):
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    page.emulate_media(reduced_motion="reduce")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", timeout=20_000)
    yield page
    page.close()
    assert faults == []


def texts(page: Any, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


def test_the_query_comes_first_and_hits_follow_with_seconds_file_and_cosine(page):
    assert texts(page, "h1") == [SEARCH.title]
    assert texts(page, ".verdict") == [SEARCH.outcome]
    assert texts(page, ".card.query .card-name") == ["mine.csv"]
    assert texts(page, ".neighbors .card-title") == [one.title for one in MOMENTS[1:]]
    assert texts(page, ".neighbors .card-name") == list(FILES[1:])
    assert texts(page, ".neighbors .card-detail") == [one.detail for one in MOMENTS[1:]]
    # It has none of the other sections, so that there is nothing to choose from.
    assert texts(page, "h2") == ["Hits"] and page.locator("nav").count() == 0


def test_all_skeletons_move_with_one_clock_at_the_rate_of_the_recordings(page):
    # Only what is in view is drawn.
    page.set_viewport_size({"width": 1200, "height": 1600})
    canvases = page.locator("#hits canvas")
    assert canvases.count() == len(FILES)
    # Every second frame is shown, half as often.
    longest = max(-(-len(one.frames) // 2) for one in MOMENTS)
    duration = page.evaluate("scdnetReport.player.duration")
    assert duration == pytest.approx(longest / (FPS / 2))
    seek(page, 0)
    before = [drawing_on(canvases.nth(i)) for i in range(len(FILES))]
    seek(page, duration / 3)
    for i, drawing in enumerate(before):
        assert (drawing_on(canvases.nth(i)) != drawing).any()


def test_the_page_shows_the_frames_of_each_hit(page):
    read = "(row) => { const one = scdnetReport.motions.get(row); return [...one.positions]; }"
    for row, moment in enumerate(MOMENTS):
        expected = np.rint(1000 * moment.frames[::2, :1]).ravel()
        np.testing.assert_array_equal(page.evaluate(read, row), expected)


def test_the_query_stays_in_view_beside_hits_further_down(page):
    page.set_viewport_size({"width": 1200, "height": 500})
    page.locator("#hits .neighbors .card").last.scroll_into_view_if_needed()
    box = page.locator("#hits .card.query canvas").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_axe_finds_no_serious_violation_and_nothing_overflows(page, scheme: str, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_timeout(100)
    assert page.evaluate(READ_OVERFLOW) == []
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_what_is_left_out_of_a_page_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hits, "MAX_MOTION_BYTES", 10)
    monkeypatch.setattr("scdnet.report.motion.BLOCK_NUMBERS", 1)
    long = MOMENTS[0]._replace(frames=np.tile(MOMENTS[0].frames, (9, 1, 1, 1)))
    write_hits(tmp_path / "a.html", SEARCH, [long, *MOMENTS[1:3]])
    text = (tmp_path / "a.html").read_text()
    assert "The motion of 2 hits is left out to keep the page small." in text
    assert "Only the first 5 s of 1 skeletons are shown." in text
