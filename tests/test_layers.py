"""Arrows of import point down only: engine and eval build on data and models, never the other way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# these import nothing of ours but one another
LEAVES = {"scdnet.__version__", "scdnet.skeleton", "scdnet.losses", "scdnet.config", "scdnet.errors", "scdnet.files"}
BELOW = {  # who may import whom, besides the leaves and its own package
    "scdnet.config_file": set(),
    "scdnet.cli": set(),
    "scdnet.data": set(),
    "scdnet.models": set(),
    "scdnet.engine": {"scdnet.config_file", "scdnet.data", "scdnet.models"},
    "scdnet.eval": {"scdnet.data", "scdnet.models", "scdnet.engine"},
    "data_prep": {"scdnet.data.store", "scdnet.data.store_writer", "scdnet.cli"},
}
SOURCES = sorted([*ROOT.glob("scdnet/**/*.py"), *ROOT.glob("data_prep/**/*.py")])


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in {"scdnet", "data_prep", "tools", "tests"}}


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path: Path):
    module = module_name(path)
    if module == "scdnet.__init__":
        return  # gathers the public names
    own = next((package for package in BELOW if is_within(module, package)), None)
    allowed = LEAVES | ({own} | BELOW[own] if own else set())
    upward = {name for name in imported(path) if not any(is_within(name, package) for package in allowed)}
    assert not upward


def test_evaluation_never_imports_the_trainer():
    for path in ROOT.glob("scdnet/eval/*.py"):
        above = ("scdnet.engine.trainer", "scdnet.engine.run")
        assert not any(is_within(name, module) for name in imported(path) for module in above), path


@pytest.mark.parametrize(
    ("word", "home"),
    [
        ("torch.cuda", "scdnet.engine.runtime"),
        ("autocast", "scdnet.engine.runtime"),
        ("torch.compile", "scdnet.engine.runtime"),
        ("torch.distributed", "scdnet.engine.ranks"),
        ("import distributed", "scdnet.engine.ranks"),
    ],
)
def test_only_one_file_speaks_of_a_part_of_the_machine(word: str, home: str):
    speaking = {module_name(path) for path in SOURCES if word in path.read_text()}
    assert speaking <= {home}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_stay_short(path: Path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 200
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"
