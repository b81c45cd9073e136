"""Take the pictures of pages in docs/images, from two reports and the page of a search.

python docs/report_pictures.py UIPRMD_PAGE DEMO_PAGE HITS_PAGE
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTH = 1120
# The part of a page that a picture shows: from the top of one element to the bottom of another.
PARTS = {
    "report_head": (".page-header", ".scores"),
    "report_gallery": ("#gallery h2", ".rows .retrieval:nth-child(3)"),
    "report_map": ("#map h2", "#map canvas"),
    "report_confusion": ("#confusion h2", "#confusion canvas"),
}
MARGIN = 24


def open_report(page: Page, path: Path) -> None:
    """Open a report and hide its playback bar, which would be in the way."""
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    page.locator("#bar").evaluate("bar => { bar.style.visibility = 'hidden' }")


def take_picture(page: Page, first: str, last: str, out: Path) -> None:
    """Take a picture from the top of the element `first` to the bottom of the element `last`."""
    page.locator(first).first.scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    top = page.locator(first).first.bounding_box()
    bottom = page.locator(last).first.bounding_box()
    assert top and bottom
    scrolled = page.evaluate("scrollY")
    y = max(0, top["y"] + scrolled - MARGIN)
    height = bottom["y"] + bottom["height"] + scrolled + MARGIN - y
    clip = {"x": 0, "y": y, "width": WIDTH, "height": height}
    page.screenshot(path=out, full_page=True, clip=clip)
    # Few colors make a small file.
    Image.open(out).convert("RGB").quantize(128).save(out, optimize=True)


def main() -> None:
    """Take all pictures."""
    uiprmd, demo, hits = (Path(argument).resolve() for argument in sys.argv[1:])
    browser_path = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 2400})
        open_report(page, uiprmd)
        for name, (first, last) in PARTS.items():
            take_picture(page, first, last, IMAGES / f"{name}.png")
        open_report(page, demo)
        page.get_by_label("Order").select_option("random")
        take_picture(
            page, ".rows .retrieval", ".rows .retrieval:nth-child(3)", IMAGES / "report_demo.png"
        )
        open_report(page, hits)
        page.evaluate("scdnetReport.player.seek(1)")
        take_picture(page, ".hits canvas", ".hits .card:nth-child(10)", IMAGES / "search_hits.png")
        browser.close()


if __name__ == "__main__":
    main()
