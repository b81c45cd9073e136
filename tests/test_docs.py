"""Check the docs against the code: commands, config keys, paths, links and navigation."""

import ast
import importlib
import importlib.util
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml

from scdnet import __version__
from scdnet.__main__ import COMMANDS
from scdnet.config import Config
from scdnet.config_file import dump_config, find_config, load_config

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SECTIONS = {"data", "model", "scd", "hdc", "latent", "neighbours", "optim", "linear", "finetune"}
# Words that were replaced by standard terms or American spelling.
OLD_WORDS = re.compile(
    r"\b(made-up|untrained|data sets?|folder|in turns|in the place of|two controls|literal|centre|"
    r"colour|metres|normalis\w+|optimis\w+|recognis\w+|initialis\w+|labelled|neighbour|data_share|"
    r"data\.(resident|workers|storage|shard))\b"
)

# An option and a key that scripts rely on.
CONTRACTS = ("--labels-from folder", "centre: ")


class Command(NamedTuple):
    """A command line of `scdnet` in the docs."""

    page: str
    line: str
    verb: str
    arguments: str


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return [(language, body) for language, body in found]


def spans(text: str) -> list[str]:
    """Return what stands in backticks outside of fenced blocks."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def commands_of(path: Path) -> list[Command]:
    """Return the commands of `scdnet` in the shell blocks and backticks of a page."""
    text = path.read_text(encoding="utf-8")
    lines = [span for span in spans(text) if span.startswith("scdnet ")]
    for language, body in blocks(text):
        if language in ("bash", "text"):
            joined = re.sub(r"\\\n\s*", " ", body)
            joined = re.sub(r"\n {20,}", " ", joined)
            lines += [line for line in joined.splitlines() if re.search(r"\bscdnet [a-z]", line)]
    found = []
    for line in lines:
        rest = re.split(r"\s#\s", line)[0].split("scdnet ", 1)[1]
        if rest.startswith(("VERB", "COMMAND", "-")):
            continue
        words = rest.split()
        two_words = " ".join(words[:2])
        verb = two_words if two_words in COMMANDS else words[0]
        arguments = " ".join(words[len(verb.split()) :])
        found.append(Command(str(path.relative_to(ROOT)), line, verb, arguments))
    return found


ALL_COMMANDS = [
    command
    for path in TEXTS
    for command in commands_of(path)
    if not command.line.startswith(("#", "ntu60 ", "  "))
]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parsers(hooks: ModuleType) -> dict[str, Any]:
    return {verb: hooks.find_parser(verb) for verb in COMMANDS}


def known_keys() -> set[str]:
    """Return the dotted names of all config keys and sections."""
    keys = set()

    def visit(tree: dict[str, Any], prefix: str) -> None:
        for name, value in tree.items():
            keys.add(prefix + name)
            if isinstance(value, dict):
                visit(value, f"{prefix}{name}.")

    visit(dump_config(Config()), "")
    return keys


def test_the_docs_contain_commands_to_check():
    assert len(ALL_COMMANDS) > 80


def test_commands_in_the_docs_exist():
    unknown = [command.line for command in ALL_COMMANDS if command.verb not in COMMANDS]
    assert not unknown


def test_options_in_the_docs_exist(parsers: dict[str, Any]):
    unknown = []
    for page, line, verb, arguments in ALL_COMMANDS:
        known = {name for action in parsers[verb]._actions for name in action.option_strings}
        # The value of --up may begin with a minus.
        arguments = re.sub(r"--up -[yz]", "--up", arguments)
        options = re.findall(r"(?:^|(?<=[\s\[(]))(--?[a-z][\w-]*)", arguments)
        unknown += [(page, line, option) for option in options if option not in known]
    assert not unknown


def test_overrides_in_the_docs_are_valid(parsers: dict[str, Any]):
    num_checked = 0
    for _, line, verb, arguments in ALL_COMMANDS:
        takes_overrides = any(action.dest == "overrides" for action in parsers[verb]._actions)
        found = re.findall(r"(?:^|(?<=\s))[a-z_.]+=[^\s)]+", arguments)
        overrides = [text for text in found if "$" not in text and "key=value" not in text]
        if overrides:
            assert takes_overrides, line
            load_config(Path("uiprmd_xsub"), overrides)
            num_checked += 1
    assert num_checked > 10


def test_benchmarks_in_the_docs_have_their_options():
    lines = [
        line
        for path in TEXTS
        for _, body in blocks(path.read_text(encoding="utf-8"))
        for line in body.splitlines()
        if line.startswith("python tools/")
    ]
    assert len(lines) > 10
    known = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tools/bench/*.py"))
    for line in lines:
        script, *words = line.split("#")[0].removeprefix("python ").split()
        assert (ROOT / script).is_file(), line
        options = [word for word in words if word.startswith("--")]
        assert [option for option in options if f'"{option}"' not in known] == [], line
        load_config(Path("uiprmd_xsub"), [word for word in words if "=" in word])


def test_configs_in_the_docs_exist():
    for command in ALL_COMMANDS:
        words = shlex.split(command.arguments.replace("(", " ").replace(")", " "))
        for option, value in pairwise(words):
            if option == "-c" and value != "CONFIG":
                find_config(ROOT / value if value.endswith(".yaml") else Path(value))
        if command.verb == "sweep" and words and words[0] != "SWEEP":
            find_config(Path(words[0]), group="sweeps")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_config_keys_in_the_docs_exist(path: Path):
    keys, unknown = known_keys(), []
    for span in spans(path.read_text(encoding="utf-8")):
        name, separator, value = span.partition("=")
        if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name):
            continue
        is_dotted = "." in name and name.split(".")[0] in SECTIONS
        if (is_dotted or separator) and name not in keys:
            unknown.append(span)
        elif value:
            load_config(Path("uiprmd_xsub"), [span])
    assert not unknown


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_of_the_project_in_the_docs_exist(path: Path):
    text = path.read_text(encoding="utf-8")
    pattern = r"\b((?:scdnet|tests|tools|data_prep|configs)/[\w/.-]*\w/?)"
    named = {name for name in re.findall(pattern, text) if "*" not in name}
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tests_that_the_docs_name_exist(path: Path):
    missing = []
    for span in spans(path.read_text(encoding="utf-8")):
        file, separator, name = span.partition("::")
        if separator and f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
            missing.append(span)
    assert not missing


def test_each_promise_names_a_test():
    page = (DOCS / "guarantees.md").read_text(encoding="utf-8")
    promises = re.split(r"^\* ", page, flags=re.MULTILINE)[1:]
    assert len(promises) >= 30
    assert [promise for promise in promises if "    * `tests/" not in promise] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(path: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = path.parent / name if name else path
        if not page.exists() or (anchor and anchor not in anchors_of(page)):
            broken.append(target)
    assert not broken


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of the headings of a page, as mkdocs and GitHub form them."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles]
    return {re.sub(r"[-\s]+", "-", word) for word in words}


def test_every_page_is_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(pages_in(navigation)) == [page.relative_to(DOCS).as_posix() for page in PAGES]


def pages_in(entry: Any) -> list[str]:
    """Return the pages of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry if isinstance(entry, list) else entry.values()
    return [page for part in parts for page in pages_in(part)]


def test_pages_that_the_code_cites_exist():
    sources = [
        path
        for directory in ("scdnet", "data_prep", "tools", "configs", "tests")
        for path in (ROOT / directory).rglob("*")
        if path.suffix in (".py", ".yaml", ".sh") and path != Path(__file__)
    ]
    missing = [
        f"{path.relative_to(ROOT)}: {page}"
        for path in sources
        for page in re.findall(r"\bdocs/[\w/]+\.\w+", path.read_text(encoding="utf-8"))
        if not (ROOT / page).exists()
    ]
    assert not missing


def test_the_table_of_commands_is_complete():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `scdnet ([a-z ]+)` \| \(?`([^`]+)`", text, flags=re.MULTILINE)
    assert [verb for verb, _ in rows] == list(COMMANDS)
    for verb, script in rows:
        if script.endswith(".py"):
            source = (ROOT / script).read_text(encoding="utf-8")
            assert f'run_verb("{verb}")' in source, script


def test_the_generated_tables_cover_every_key_and_command(hooks: ModuleType):
    tables = hooks.config_tables()
    leaves = [key for key in known_keys() if not any(k.startswith(f"{key}.") for k in known_keys())]
    assert [key for key in leaves if f"| `{key}` |" not in tables] == []
    assert [verb for verb in COMMANDS if f"### scdnet {verb}\n" not in hooks.command_tables()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_of_a_notebook_has_its_text_code_and_pictures(hooks: ModuleType, path: Path):
    own = DOCS / "notebooks" / f"{path.stem}.md"
    page = hooks.on_page_markdown(own.read_text(encoding="utf-8"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [body.rstrip("\n") for _, body in blocks(page)] == code
    assert page.startswith("# ") and "![" in page
    targets = re.findall(r"\]\(([^)\s]+)\)", page)
    assert [target for target in targets if not (own.parent / target).exists()] == []
    assert not [match[0] for match in OLD_WORDS.finditer(page)]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_in_the_docs_compiles_and_imports_what_exists(path: Path):
    for language, body in blocks(path.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module and "scdnet" in node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), body


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docs_use_the_words_of_the_field(path: Path):
    text = path.read_text(encoding="utf-8")
    for contract in CONTRACTS:
        text = text.replace(contract, "")
    assert not [match[0] for match in OLD_WORDS.finditer(text)]


def test_the_citation_file_states_the_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "the scdnet developers"}]
    assert citation["version"] == __version__
    assert citation["references"][0]["doi"] == "10.1609/aaai.v38i6.28409"
