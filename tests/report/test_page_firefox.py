"""The page of a report in Firefox, which has another engine, driven over WebDriver BiDi."""

import json
import shutil
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("websockets", reason="websockets is not installed")

from tests.report.firefox import Firefox, firefox
from tests.report.pages import Expected, Report

READ_NAMES = (
    "[...document.querySelectorAll('#gallery .rows .retrieval')].map((row) => "
    "[...row.querySelectorAll('.card-name')].map((name) => name.textContent))"
)


# What the first skeleton of the gallery looks like.
PICTURE = "document.querySelector('#gallery .rows canvas').toDataURL()"


@pytest.fixture(scope="module")
def browser(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """Firefox, with the page of `report` open in it."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("neither firefox-esr nor firefox is installed")
    with firefox(program, tmp_path_factory.mktemp("profile")) as window:
        window.open(report.page.as_uri())
        window.wait_for("document.documentElement.dataset.ready === 'yes'")
        yield window


def test_the_page_opens_from_a_file_without_error_in_firefox(browser: Firefox):
    assert browser.messages == []
    assert browser.evaluate("document.querySelectorAll('b, img').length") == 0


def test_the_gallery_shows_the_nearest_neighbors_in_firefox(browser: Firefox, expected: Expected):
    rows = browser.evaluate(READ_NAMES)
    assert len(rows) == 6
    names = list(expected.name)
    queries, gallery = expected.queries.tolist(), expected.gallery.tolist()
    for query, *neighbors in rows:
        cosine = expected.cosine[queries.index(names.index(query))]
        shown = cosine[[gallery.index(names.index(name)) for name in neighbors]]
        np.testing.assert_allclose(shown, np.sort(cosine)[::-1][:5], atol=1e-5)


def test_skeletons_move_until_space_pauses_them_in_firefox(browser: Firefox):
    browser.evaluate("document.querySelector('#gallery .rows').scrollIntoView()")
    before = browser.evaluate(PICTURE)
    browser.wait_for(f"{PICTURE} !== {json.dumps(before)}")
    browser.press(" ")
    browser.wait_for("!scdnetReport.player.playing")
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => done(0)))")
    before = browser.evaluate(PICTURE)
    time.sleep(0.3)
    assert browser.evaluate(PICTURE) == before
