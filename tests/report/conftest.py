"""One report and one browser for all tests of the page."""

import shutil
from collections.abc import Callable, Iterator

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


@pytest.fixture
def open_page(chromium, report: Report) -> Iterator[Callable]:
    """Open the page of `report` in a context of its own, with options of Playwright."""
    contexts = []

    def open_page(*, paused: bool = True, **options):
        contexts.append(new_context(chromium, **options))
        page = contexts[-1].new_page()
        load(page, report, paused=paused)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def window(chromium):
    """The window of `page`: a new one for each test takes longer than most of the tests."""
    context = new_context(chromium)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(window, report: Report):
    """The page of `report`, paused, with nothing changed yet."""
    window.mouse.move(0, 0)
    load(window, report, paused=True)
    return window


def new_context(browser, **options):
    """Return a new context of a browser, with a window of a usual size."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
    context.set_default_timeout(10_000)
    return context


def load(page, report: Report, *, paused: bool) -> None:
    """Load the page of a report, wait until it is ready, and pause it if it is to be `paused`."""
    page.goto(report.page.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    if paused:
        page.evaluate("scdnetReport.player.playing && scdnetReport.player.toggle()")
