#!/usr/bin/env python3
import argparse
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_lib import bench_parser, describe_machine, finish
from tabulate import tabulate

from scdnet.cli import run_command
from scdnet.errors import ScdnetError

RUN = "runs/demo"
FEATURES = f"{RUN}/features.h5"
WRITING = "writing the page"
PAGE = "report.html"
# The arguments of scdnet for each step. A page contains 2,000 sequences; 24 actions of each subject
# before three cameras make more. It does not matter what the encoder learns.
STEPS = {
    "recordings": "prepare demo --out raw --subjects {subjects}",
    "store": "prepare ntu --dataset ntu60 --raw raw --out data/demo.h5",
    "training": "train -c demo optim.steps=20 device=cpu",
    "features": f"extract -c demo --checkpoint {RUN}/last.pt device=cpu --out {FEATURES}",
    WRITING: f"report {RUN} --out {PAGE}",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 5
# The script notes when the page can be used, and when its first skeletons and all can move.
WATCH = """
window.times = {};
const note = (name, happens) => {
  const look = () => {
    if (happens()) window.times[name] = performance.now() / 1000;
    else requestAnimationFrame(look);
  };
  look();
};
note("interactive", () => window.scdnetReport?.player.numDrawn > 0);
note("first motion", () => window.scdnetReport?.motions.numLoaded > 0);
note("all motion", () => document.documentElement?.dataset.ready === "yes");
"""
COUNT = """async (seconds) => {
  const {player} = window.scdnetReport;
  if (!player.playing) player.toggle();
  const tick = player.tick;
  let drawing = 0;
  player.tick = (now) => {
    const start = performance.now();
    tick(now);
    drawing += performance.now() - start;
  };
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  // Until canvases that came into view are known to be.
  await wait(1000);
  drawing = 0;
  const before = player.numDrawn;
  const start = performance.now();
  await wait(seconds * 1000);
  const frames = player.numDrawn - before;
  const inView = [...player.stages.values()].filter((stage) => stage.isVisible).length;
  return {
    frames_per_second: 1000 * frames / (performance.now() - start),
    ms_per_frame: drawing / frames,
    skeletons_in_view: inView,
  };
}"""


def write_page(directory: Path, subjects: int) -> tuple[Path, float]:
    """Make a page by the commands of scdnet; return it and the seconds of the last command."""
    seconds = 0.0
    for step, arguments in STEPS.items():
        print(f"{step} ...", file=sys.stderr)
        command = [sys.executable, "-m", "scdnet"]
        command += shlex.split(arguments.format(subjects=subjects))
        start = time.perf_counter()
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise ScdnetError(f"scdnet {arguments}: {done.stderr}")
    return directory / PAGE, seconds


@contextmanager
def open_window(path: Path) -> Iterator:
    """Open a page in a headless Chromium, and yield Playwright's handle of it."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise ScdnetError(f"none of these browsers is installed: {', '.join(BROWSERS)}")
    with sync_playwright() as driver:
        # Containers forbid the sandbox.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        # Six rows of six skeletons are in view.
        page = browser.new_page(viewport={"width": 1400, "height": 1800})
        page.add_init_script(WATCH)
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        # The time of the last event is noted one frame after it.
        page.wait_for_timeout(200)
        yield page
        browser.close()


def measure_opening(path: Path, rounds: int) -> dict[str, float]:
    """Return the median seconds from opening a page until parts of it can be used."""
    found = []
    for _ in range(rounds):
        with open_window(path) as page:
            found.append(page.evaluate("window.times"))
    return {name: sorted(one[name] for one in found)[rounds // 2] for name in found[0]}


def measure_speed(path: Path) -> dict[str, float]:
    """Return how many frames a second a page draws, what each costs, and with how many skeletons.

    The milliseconds of a frame are those of the script; the browser adds its own.
    """
    with open_window(path) as page:
        page.locator("#gallery .rows").evaluate("(rows) => rows.scrollIntoView()")
        return page.evaluate(COUNT, SECONDS)


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Measure a page."""
    with open_window(path) as page:
        num_sequences = page.evaluate("scdnetReport.report.sequences.name.length")
    return {
        "machine": describe_machine(),
        "sequences": num_sequences,
        "mb": path.stat().st_size / 1e6,
        "opening_seconds": measure_opening(path, rounds),
        **measure_speed(path),
    }


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = bench_parser(main.__doc__, rounds=3)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--page", type=Path, help="a page that exists")
    source.add_argument(
        "--directory", type=Path, help="a new directory, in which a page is made of the demo's data"
    )
    parser.add_argument(
        "--subjects",
        type=int,
        default=28,
        help="people of the demo; each makes 72 sequences (default: %(default)s)",
    )
    return parser.parse_args()


def main() -> None:
    """Measure the page of a report: writing it, opening it, and drawing its skeletons.

    Needs Chromium and Playwright. The features of the encoder exist when writing is measured;
    those of the baselines do not.
    """
    args = parse_arguments()
    path = args.page
    seconds = None
    if args.directory:
        args.directory.mkdir(parents=True)
        path, seconds = write_page(args.directory, args.subjects)
    record = {**measure(path, args.rounds), "writing_seconds": seconds}
    opening = record["opening_seconds"]
    speed = f"{record['frames_per_second']:.1f} frames/s, {record['ms_per_frame']:.1f} ms of script"
    rows = [
        [WRITING, "-" if seconds is None else f"{seconds:.1f} s"],
        ["size", f"{record['mb']:.1f} MB, {record['sequences']:,} sequences"],
        *([f"opening: {name}", f"{value:.2f} s"] for name, value in opening.items()),
        [f"drawing {record['skeletons_in_view']} skeletons", speed],
    ]
    print(tabulate(rows))
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
