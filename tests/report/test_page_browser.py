"""The page of a report in a real Chromium, driven as a reader would."""

import re
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")

from axe_playwright_python.sync_playwright import Axe
from matplotlib.path import Path as Polygon
from playwright.sync_api import Error, Locator, Page, ViewportSize, expect

from scdnet.data.store import SequenceStore
from scdnet.skeletons import NTU_25
from tests.report.browser import (
    FOCUSABLE,
    NUMBER_FOCUSABLE,
    READ_FOCUS,
    READ_OVERFLOW,
    SIDES,
    Shown,
    drawing_on,
    has_color,
    luminance,
    picture_of,
    read_color,
    read_gallery,
    read_view,
    seek,
    wait_for_drawing,
    wait_until,
)
from tests.report.conftest import load
from tests.report.pages import CLASS_NAMES, OWN_RECORDING, Expected, Report

# Pixels from the edge of the map to the outermost points.
MAP_MARGIN = 22
# The side of a cell of the confusion matrix, if there is room, and the edge behind the last one.
CELL = 34
MATRIX_EDGE = 2
PHONE: ViewportSize = {"width": 360, "height": 740}
# Features are float32, so that cosines that differ less may be in either order.
TIE = 1e-5


def first_canvas(page: Page) -> Locator:
    return page.locator("#gallery .rows canvas").first


@pytest.fixture(scope="module")
def gallery(window: Page, report: Report) -> list[Shown]:
    """All rows of the gallery, unfiltered."""
    load(window, report)
    return read_gallery(window)


def camera_of(page: Page) -> tuple[float, float]:
    camera = page.evaluate("scdnetReport.player.camera")
    return camera["azimuth"], camera["elevation"]


def test_the_page_opens_from_a_file_without_error_or_request(chromium, report: Report):
    context = chromium.new_context()
    page = context.new_page()
    faults: list[str] = []
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("console", lambda message: faults.append(message.text))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (event) => "
        "console.error(event.violatedDirective))"
    )
    page.goto(report.page.as_uri())
    with suppress(Error):
        page.wait_for_selector("html[data-ready=yes]", timeout=5000)
    page.mouse.wheel(0, 10_000)
    wait_for_drawing(page)
    assert faults == []
    expect(page.locator("html")).to_have_attribute("data-ready", "yes")
    assert requests == [report.page.as_uri()]
    context.close()


def test_skeletons_move_until_space_pauses_them(page: Page, report: Report):
    page.emulate_media(reduced_motion="no-preference")
    load(page, report)
    canvas = first_canvas(page)
    canvas.scroll_into_view_if_needed()
    before = picture_of(canvas)
    wait_until(page, lambda: bool((picture_of(canvas) != before).any()))
    page.keyboard.press("Space")
    wait_for_drawing(page)
    paused = picture_of(canvas)
    page.wait_for_timeout(300)
    assert (picture_of(canvas) == paused).all()
    page.keyboard.press("Space")
    wait_until(page, lambda: bool((picture_of(canvas) != paused).any()))


def test_space_in_the_search_is_a_space(page: Page):
    page.get_by_role("searchbox").press("Space")
    assert not page.evaluate("scdnetReport.player.playing")
    assert page.get_by_role("searchbox").input_value() == " "


def test_the_button_of_the_bar_plays_and_pauses(page: Page):
    page.get_by_role("button", name="Play").click()
    assert page.evaluate("scdnetReport.player.playing")
    page.get_by_role("button", name="Pause").click()
    assert not page.evaluate("scdnetReport.player.playing")


def test_the_slider_moves_all_skeletons_to_its_time(page: Page):
    canvases = page.locator("#gallery .rows canvas")
    seek(page, 0)
    canvases.first.scroll_into_view_if_needed()
    before = [drawing_on(canvases.nth(i)) for i in range(3)]
    page.get_by_role("slider", name="Time").fill("400")
    wait_for_drawing(page)
    time, duration = page.evaluate("[scdnetReport.player.time, scdnetReport.player.duration]")
    assert time == pytest.approx(0.4 * duration)
    assert f"{time:.1f}" in page.locator("#bar").inner_text()
    for i, drawing in enumerate(before):
        assert (drawing_on(canvases.nth(i)) != drawing).any()


def test_dragging_and_arrow_keys_turn_all_skeletons(page: Page):
    canvas = first_canvas(page)
    other = page.locator("#gallery .rows canvas").nth(4)
    canvas.scroll_into_view_if_needed()
    before, others = drawing_on(canvas), drawing_on(other)
    azimuth, elevation = camera_of(page)
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=4)
    page.mouse.up()
    dragged = camera_of(page)
    assert abs(dragged[0] - azimuth) > 5 and abs(dragged[1] - elevation) > 5
    page.mouse.move(x, y)
    assert camera_of(page) == dragged
    wait_for_drawing(page)
    assert (drawing_on(canvas) != before).any() and (drawing_on(other) != others).any()
    canvas.press("ArrowRight")
    canvas.press("ArrowUp")
    turned = camera_of(page)
    assert turned[0] != dragged[0] and turned[1] != dragged[1]
    page.get_by_role("button", name="Reset view").click()
    assert camera_of(page) == (azimuth, elevation)


def test_a_finger_turns_skeletons_sideways(chromium, report: Report):
    page = chromium.new_page(has_touch=True, viewport={"width": 400, "height": 800})
    load(page, report)
    canvas = first_canvas(page)
    canvas.scroll_into_view_if_needed()
    azimuth, _ = camera_of(page)
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 9):
        touch("touchMove", {"x": x + 6 * step, "y": y})
    touch("touchEnd")
    assert abs(camera_of(page)[0] - azimuth) > 10
    page.close()


@pytest.mark.parametrize("turned", [0, 70])
def test_joints_are_drawn_where_arithmetic_puts_them(
    page: Page, store: SequenceStore, turned: float
):
    page.evaluate("(degrees) => scdnetReport.player.turn(degrees, degrees / 7)", turned)
    canvas = first_canvas(page)
    canvas.scroll_into_view_if_needed()
    view = read_view(page, canvas)
    box = canvas.bounding_box()
    np.testing.assert_allclose(view.center, [box["width"] / 2, box["height"] / 2], atol=1)
    name = page.locator("#gallery .rows .card-name").first.text_content()
    (row,) = np.flatnonzero(store.table.name == name)
    # The page shows every second frame, in whole millimeters.
    joints = np.rint(1000 * store[row].frames[::2, 0])
    colors = [read_color(page, side) for side in SIDES]
    left, right = NTU_25.sides
    num_checked = 0
    for frame in range(0, len(joints), 5):
        seek(page, (frame + 1e-3) / 15)
        drawing = drawing_on(canvas)
        places = view.place(joints[frame])
        # Nothing is drawn beyond the joints that are outermost, so that they can be told apart.
        for joint, outwards in ((places[:, 0].argmax(), 1), (places[:, 0].argmin(), -1)):
            side = 1 if joint in left else 2 if joint in right else 0
            if side == 0:
                continue
            beyond = places[joint] + [12 * outwards, 0]
            assert has_color(drawing, colors[side], places[joint], radius=2)
            assert not has_color(drawing, colors[side], beyond, radius=6)
            num_checked += 1
    assert num_checked > 4


def test_the_gallery_shows_the_neighbors_of_the_features_file(
    gallery: list[Shown], expected: Expected
):
    rows = gallery
    names = list(expected.name)
    assert Counter(row.query for row in rows) == Counter(expected.name[expected.queries].tolist())
    place = {row: i for i, row in enumerate(expected.queries.tolist())}
    column = {row: i for i, row in enumerate(expected.gallery.tolist())}
    for row in rows:
        query = names.index(row.query)
        cosine = expected.cosine[place[query]]
        shown = [names.index(name) for name in row.neighbors]
        assert len(set(shown)) == 5
        found = cosine[[column[i] for i in shown]]
        np.testing.assert_allclose(found, np.sort(cosine)[::-1][:5], atol=TIE)
        assert row.is_same == (expected.label[shown] == expected.label[query]).tolist()


def test_queries_that_are_wrong_with_certainty_come_first(gallery: list[Shown], expected: Expected):
    hardness = dict(zip(expected.name[expected.queries], expected.hardness, strict=True))
    shown = np.array([hardness[row.query] for row in gallery])
    # The page has four digits of it.
    assert (np.diff(shown) <= 1e-4).all()


def test_the_gallery_is_filtered_by_class(page: Page, expected: Expected):
    for label in (0, 2):
        page.get_by_label("Class", exact=True).select_option(label=expected.class_names[label])
        shown = {row.query for row in read_gallery(page)}
        assert shown == expected.names_of(expected.label[expected.queries] == label) != set()


def test_the_gallery_is_filtered_by_right_and_wrong(page: Page, expected: Expected):
    for outcome, is_shown in (
        ("wrong only", ~expected.is_right),
        ("right only", expected.is_right),
    ):
        page.get_by_label("Nearest neighbor", exact=True).select_option(label=outcome)
        shown = {row.query for row in read_gallery(page)}
        assert shown == expected.names_of(is_shown) != set()


def test_the_gallery_is_searched_by_name(page: Page, expected: Expected):
    search = page.get_by_role("searchbox")
    for text in ("R002A009", "<B>THE BOLD", "onerror"):
        search.fill(text)
        found = np.array([text.lower() in name.lower() for name in expected.name[expected.queries]])
        assert {row.query for row in read_gallery(page)} == expected.names_of(found) != set()
    search.fill("nobody is called so")
    assert read_gallery(page) == []
    expect(page.locator("#gallery").get_by_role("status")).to_have_text("No query matches")


def test_the_pages_of_the_gallery_turn_both_ways(page: Page, expected: Expected):
    num = str(len(expected.queries))
    status = page.locator("#gallery").get_by_role("status")
    back = page.get_by_role("button", name="Previous")
    first = read_numbers(status), page.locator("#gallery .rows .card-name").all_text_contents()
    assert back.is_disabled()
    page.get_by_role("button", name="Next").click()
    assert read_numbers(status) == ["7", "12", num]
    back.click()
    again = read_numbers(status), page.locator("#gallery .rows .card-name").all_text_contents()
    assert again == first and first[0] == ["1", "6", num]


def read_numbers(place: Locator) -> list[str]:
    return re.findall(r"\d+", place.inner_text())


def test_a_recording_of_ones_own_comes_first_with_its_neighbors(page: Page, expected: Expected):
    group = page.locator("#gallery .own")
    names = group.locator(".card-name").all_text_contents()
    # The store has the same take, normalized without a camera, and all its sequences are searched.
    assert names[:2] == [OWN_RECORDING, "S003C001P001R001A007"]
    assert len(names) == 6 and set(names[1:]) <= set(expected.name)


def test_the_confusion_matrix_counts_the_test_sequences(page: Page, expected: Expected):
    page.locator("#confusion summary").first.click()
    rows = page.locator("#confusion .number-table tbody tr")
    # The table is made when it is opened.
    rows.first.wait_for()
    cells = [row.locator("th, td").all_text_contents() for row in rows.all()]
    shown = {(actual, predicted): int(num) for actual, predicted, num in cells}
    actual, predicted = expected.label[expected.queries], expected.label[expected.nearest]
    names = expected.class_names
    counts = Counter((names[a], names[p]) for a, p in zip(actual, predicted, strict=True))
    assert shown == counts
    assert sum(shown.values()) == len(expected.queries)


def test_the_accuracy_of_each_class_is_that_of_its_test_sequences(page: Page, expected: Expected):
    rows = page.locator("#confusion .accuracy-row").all()
    shown = {
        row.locator(".accuracy-name").text_content(): row.locator(".accuracy-count").text_content()
        for row in rows
    }
    label = expected.label[expected.queries]
    assert shown == {
        name: f"{expected.is_right[label == c].sum()}\u2009/\u2009{(label == c).sum()}"
        for c, name in enumerate(expected.class_names)
    }


def test_a_click_on_a_cell_shows_its_examples(page: Page, expected: Expected):
    order = page.evaluate("scdnetReport.report.confusion.order")
    actual, predicted = expected.label[expected.queries], expected.label[expected.nearest]
    wrong = np.flatnonzero(~expected.is_right)[0]
    cell = (actual == actual[wrong]) & (predicted == predicted[wrong])
    matrix = page.locator("#confusion canvas.matrix")
    matrix.scroll_into_view_if_needed()
    size = matrix.bounding_box()
    from_end = [len(order) - order.index(c) - 0.5 for c in (predicted[wrong], actual[wrong])]
    x, y = (
        size[key] - MATRIX_EDGE - CELL * cells
        for key, cells in zip(("width", "height"), from_end, strict=True)
    )
    matrix.hover(position={"x": x, "y": y})
    names = [expected.class_names[c] for c in (actual[wrong], predicted[wrong])]
    text = (
        f"rue {names[0]}, predicted {names[1]}: {cell.sum()} of {(actual == actual[wrong]).sum()}"
    )
    expect(page.locator("#confusion .matrix-box .tip")).to_have_text(f"t{text}")
    matrix.click(position={"x": x, "y": y})
    examples = page.locator("#confusion .cell-examples")
    expect(examples.locator("h3")).to_have_text(f"T{text}")
    queries = examples.locator(".card.query .card-name").all_text_contents()
    assert set(queries) == expected.names_of(cell)
    examples.get_by_role("button", name=queries[0]).click()
    expect(page.locator("#gallery .rows .card.query .card-name")).to_have_text(queries[0])


class Map:
    """The map of the page, with the pixels of its points."""

    def __init__(self, page: Page) -> None:
        self.canvas = page.locator("#map .map-overlay")
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        self.corner = np.array([box["x"], box["y"]])
        self.size = np.array([box["width"], box["height"]])
        data = page.evaluate("scdnetReport.report")
        sequences = data["sequences"]
        points = np.array([data["maps"][0]["x"], data["maps"][0]["y"]], dtype=float).T
        low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
        scale = ((self.size - 2 * MAP_MARGIN) / (high - low)).min()
        places = self.size / 2 + scale * (points - (low + high) / 2) * [1, -1]
        # Training sequences are hidden at first.
        is_shown = np.array(sequences["split"]) != 0
        self.places = places[is_shown]
        self.names = np.array(sequences["name"])[is_shown]

    def loneliest(self) -> int:
        """Return the point that is farthest from all others."""
        distance = np.linalg.norm(self.places[:, None] - self.places, axis=2)
        return int((distance + 1e9 * np.eye(len(distance))).min(axis=1).argmax())

    def inside(self, corners: np.ndarray) -> set[str]:
        """Return the names of the points inside a polygon (n, 2)."""
        return set(self.names[Polygon(corners).contains_points(self.places)])

    def drag(self, page: Page, corners: np.ndarray) -> None:
        """Drag the mouse along corners (n, 2) in pixels of the map."""
        page.mouse.move(*(self.corner + corners[0]))
        page.mouse.down()
        for corner in corners:
            page.mouse.move(*(self.corner + corner), steps=3)
        page.mouse.up()


def listed(page: Page) -> set[str]:
    names = page.locator("#map .map-selection .name-list button").all_text_contents()
    assert len(names) == len(set(names))
    return set(names)


def test_pointing_at_the_map_shows_a_moving_skeleton_that_a_click_opens(page: Page):
    page.keyboard.press("Space")
    points = Map(page)
    one = points.loneliest()
    page.mouse.move(*(points.corner + points.places[one]))
    popover = page.locator("#map .map-popover")
    expect(popover.locator(".card-name")).to_have_text(points.names[one])
    canvas = popover.locator("canvas")
    drawing = drawing_on(canvas)
    wait_until(page, lambda: bool((drawing_on(canvas) != drawing).any()))
    page.mouse.click(*(points.corner + points.places[one]))
    queries = page.locator("#gallery .rows .card.query .card-name")
    expect(queries.first).to_have_text(points.names[one])
    expect(page.locator("#gallery .picked")).to_contain_text(points.names[one])
    page.mouse.move(0, 0)
    expect(popover).to_be_hidden()


def test_a_lasso_lists_the_sequences_inside(page: Page):
    points = Map(page)
    middle = np.median(points.places, axis=0)
    triangle = middle + np.array([[-140, 90], [150, 60], [10, -130]])
    triangle = np.clip(np.rint(triangle), 2, points.size - 2)
    points.drag(page, triangle)
    assert listed(page) == points.inside(triangle) != set()
    page.locator("#map .map-selection").get_by_role("button", name="Clear").click()
    assert listed(page) == set()


def test_a_box_lists_the_sequences_inside(page: Page):
    page.get_by_label("Drag", exact=True).select_option("box")
    points = Map(page)
    low, high = np.rint(np.quantile(points.places, [0.2, 0.9], axis=0))
    points.drag(page, np.array([low, high]))
    box = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    assert listed(page) == points.inside(box) != set()


def test_training_sequences_join_the_map_on_request(page: Page, expected: Expected):
    page.get_by_role("button", name="List visible sequences").click()
    assert listed(page) == {OWN_RECORDING, *expected.name[expected.queries]}
    page.get_by_label("training sequences").check()
    page.get_by_role("button", name="List visible sequences").click()
    assert listed(page) == {OWN_RECORDING, *expected.name}


def test_hostile_names_are_text(page: Page, expected: Expected):
    hostile = CLASS_NAMES[9]
    assert hostile in page.locator("#map .legend-name").all_text_contents()
    page.get_by_label("Class", exact=True).select_option(label=hostile)
    titles = page.locator("#gallery .rows .card.query .card-title").all_text_contents()
    assert titles and set(titles) == {hostile}
    assert page.title().startswith("small: people <b>")
    assert page.locator("b, img, body script:not([type])").count() == 0
    assert page.evaluate("scdnetReport.report.classNames") == expected.class_names


def test_collapse_and_nan_of_a_run_are_named(page: Page):
    events = page.locator("#training").get_by_role("list", name="Events")
    expect(events).to_contain_text("broken, epoch 0: collapse")
    expect(events).to_contain_text("broken, epoch 1: NaN")
    runs = page.locator("#training").get_by_role("list", name="Runs").get_by_role("listitem")
    assert [text.rsplit("/", 1)[-1] for text in runs.all_text_contents()] == ["small", "broken"]


def test_nothing_overflows_a_phone(page: Page):
    page.set_viewport_size(PHONE)
    points = page.locator("#map .map-overlay")
    points.focus()
    points.press("ArrowRight")
    page.locator("#confusion summary").first.click()
    page.locator("#confusion .pair-button").first.click()
    page.get_by_role("button", name="List visible sequences").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(READ_OVERFLOW) == []


def test_a_dark_scheme_has_light_text_on_a_dark_ground(page: Page):
    page.emulate_media(color_scheme="dark")
    ground, ink = (luminance(read_color(page, name)) for name in ("--paper", "--ink"))
    corner = picture_of(page.locator(".verdict"))[0, 0]
    assert luminance(corner) == pytest.approx(ground) and ground < 0.05
    assert (ink + 0.05) / (ground + 0.05) > 7
    trunk = luminance(read_color(page, SIDES[0]))
    assert (trunk + 0.05) / (ground + 0.05) > 3


def test_a_reader_who_wants_less_motion_starts_it(page: Page):
    page.wait_for_timeout(300)
    assert page.evaluate("scdnetReport.player.time") == 0
    page.get_by_role("button", name="Play").click()
    wait_until(page, lambda: page.evaluate("scdnetReport.player.time") > 0)


def test_the_tab_key_reaches_everything_with_a_visible_focus(page: Page):
    num = page.evaluate(NUMBER_FOCUSABLE, FOCUSABLE)
    reached = set()
    unseen = []
    for _ in range(num):
        page.keyboard.press("Tab")
        number, is_visible = page.evaluate(READ_FOCUS)
        reached.add(number)
        if not is_visible:
            unseen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
    missed = [
        page.locator(f"[data-number='{number}']").evaluate("(node) => node.outerHTML.slice(0, 120)")
        for number in {str(i) for i in range(num)} - reached
    ]
    assert num > 40
    assert (missed, unseen) == ([], [])


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_axe_finds_no_serious_violation(page: Page, kind: str):
    if kind == "phone":
        page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark" if kind == "dark" else "light")
    page.locator("#confusion .pair-button").first.click()
    page.get_by_role("button", name="List visible sequences").click()
    # In the dark only colors differ.
    rules = ["color-contrast"] if kind == "dark" else None
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_verdict_and_scores_are_readable_without_javascript(chromium, report: Report):
    page = chromium.new_page(java_script_enabled=False)
    page.goto(report.page.as_uri())
    expect(page.locator(".verdict")).to_contain_text("24 test sequences")
    expect(page.locator(".scores")).to_contain_text("this encoder")
    expect(page.locator("noscript")).to_be_visible()
    assert page.locator("#bar").is_hidden()
    page.close()
