"""Write the page of a report: one HTML file that needs nothing else."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from scdnet.files import write_text
from scdnet.report.bundle import join_scripts, join_styles, read_page_file
from scdnet.version import __version__


@dataclass(frozen=True)
class Score:
    """A row of the table of scores, as text."""

    name: str
    knn1: str
    spread: str
    map: str
    is_own: bool


@dataclass(frozen=True)
class Page:
    """The content of a page: what HTML shows by itself, and the data of its script."""

    # The line above the title.
    kicker: str
    title: str
    # The ids of the sections of page.html that it has.
    sections: Sequence[str]
    facts: Sequence[tuple[str, str]]
    # One sentence, and the mark before it: better, equal, worse, unknown, or none.
    verdict: str
    verdict_kind: str
    scores: Sequence[Score]
    # The command that makes the page again.
    command: str
    # Sentences on what the page does not contain.
    left_out: Sequence[str]
    data: Mapping[str, Any]
    motion: Sequence[bytes]


def write_page(path: Path, page: Page) -> None:
    """Write a page to an HTML file."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(read_page_file("page.html"))
    script = join_scripts()
    style = join_styles()
    text = template.render(
        kicker=page.kicker,
        title=page.title,
        sections=page.sections,
        facts=page.facts,
        verdict=page.verdict,
        verdict_kind=page.verdict_kind,
        scores=page.scores,
        command=page.command,
        left_out=page.left_out,
        # Both are files of this package, not input.
        script=Markup(script),
        style=Markup(style),
        csp=content_policy(script, style),
        data=encode_data(page.data),
        motion=[base64.b64encode(block).decode() for block in page.motion],
        version=__version__,
    )
    write_text(path, text)


def content_policy(script: str, style: str) -> str:
    """Return the content security policy that allows this script and style, and nothing else."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def encode_data(data: Mapping[str, Any]) -> str:
    """Compress plain values to text that cannot end the element of a page that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()
