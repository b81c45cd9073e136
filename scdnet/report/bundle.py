"""Join the modules of the page into one script, and its styles into one sheet.

The script is small and needs no bundler: its modules import each other by name only, so that
leaving out `import` and `export` makes one module of them.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

PAGE = files("scdnet.report") / "page"
ENTRY = "main.js"
IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=function|async|const|class)", re.MULTILINE)


@cache
def join_scripts() -> str:
    """Return the modules that main.js needs, each after those that it imports, as one."""
    parts: dict[str, str] = {}
    _collect(ENTRY, parts)
    return "\n".join(parts.values())


def _collect(name: str, parts: dict[str, str]) -> None:
    if name in parts:
        return
    text = read_page_file(name)
    # Keeps a circle of imports from going round for ever.
    parts[name] = ""
    for needed in IMPORT.findall(text):
        _collect(needed, parts)
    # Put it after what it imports.
    del parts[name]
    parts[name] = EXPORT.sub("", IMPORT.sub("", text))


@cache
def join_styles() -> str:
    """Return all style sheets of the page, the one with the variables first."""
    names = sorted(one.name for one in PAGE.iterdir() if one.name.endswith(".css"))
    names.sort(key=lambda name: name != "style.css")
    return "\n".join(map(read_page_file, names))


def read_page_file(name: str) -> str:
    """Return the text of a file of the page."""
    path: Traversable = PAGE / name
    return path.read_text(encoding="utf-8")
