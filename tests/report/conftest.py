"""One report and one browser for all tests of the page."""

import shutil
from collections.abc import Iterator

import pytest

from scdnet.data.store import SequenceStore
from tests.report.pages import Expected, Report, read_expected, write_report

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report that tests share; none of them writes to its directory."""
    return write_report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def expected(report: Report) -> Expected:
    """What the page of `report` should show."""
    return read_expected(report.features)


@pytest.fixture(scope="session")
def store(report: Report) -> Iterator[SequenceStore]:
    """The store of `report`."""
    with SequenceStore(report.store) as store:
        yield store


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"none of these browsers is installed: {', '.join(CHROMIUM)}")
    with playwright.sync_playwright() as driver:
        # Containers forbid the sandbox.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def window(chromium, report: Report):
    """The window of `page`: a new one for each test takes longer than most of the tests."""
    page = chromium.new_page()
    page.set_default_timeout(10_000)
    # If the page does not work at all, no test waits for it again.
    load(page, report)
    yield page
    page.close()


@pytest.fixture
def page(window, report: Report):
    """The page of `report` as a reader sees it first who wants no motion: it is paused."""
    window.set_viewport_size({"width": 1200, "height": 900})
    window.emulate_media(color_scheme="light", reduced_motion="reduce")
    window.mouse.move(0, 0)
    load(window, report)
    return window


def load(page, report: Report) -> None:
    """Load the page of a report and wait until all of it is there."""
    page.goto(report.page.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
