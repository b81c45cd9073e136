"""Check that imports point down only, and that what is not needed is not imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scdnet

ROOT = Path(__file__).parents[1]
# these import nothing of ours but one another
BASE = {
    "scdnet.__version__", "scdnet.version", "scdnet.errors", "scdnet.files", "scdnet.config",
    "scdnet.config_file", "scdnet.skeleton", "scdnet.skeletons", "scdnet.streams", "scdnet.losses",
    "scdnet.cli", "scdnet.memory",
}  # fmt: skip
BELOW = {  # who may import whom, besides the base and its own package
    "scdnet.data": set(),
    "scdnet.models": set(),
    "scdnet.raw": {
        "scdnet.data.store", "scdnet.data.store_writer", "scdnet.data.normalized",
    },
    "scdnet.synthetic": {"scdnet.raw", "scdnet.data.store"},
    "scdnet.results": set(),
    "scdnet.engine": {"scdnet.data", "scdnet.models"},
    "scdnet.eval": {"scdnet.results", "scdnet.engine", "scdnet.data", "scdnet.models"},
    "scdnet.viz": {"scdnet.data", "scdnet.results"},
    "scdnet.report": {
        "scdnet.eval", "scdnet.results", "scdnet.engine", "scdnet.data", "scdnet.viz",
    },
    "scdnet.commands": {
        "scdnet.raw", "scdnet.synthetic", "scdnet.data", "scdnet.models", "scdnet.engine",
        "scdnet.eval", "scdnet.results", "scdnet.viz", "scdnet.report", "scdnet.__main__",
        *(f"scdnet.{name}" for name in scdnet.__all__),
    },
    "data_prep": {"scdnet.__main__"},
    "tools": {
        "scdnet.__main__", "scdnet.commands", "scdnet.raw", "scdnet.synthetic", "scdnet.data",
        "scdnet.models", "scdnet.engine",
        "scdnet.eval", "scdnet.results", "scdnet.viz", "tests.reference",
    },
}  # fmt: skip
SOURCES = sorted(
    [*ROOT.glob("scdnet/**/*.py"), *ROOT.glob("data_prep/**/*.py"), *ROOT.glob("tools/**/*.py")]
)


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
    return {
        name for name in names if name.split(".")[0] in {"scdnet", "data_prep", "tools", "tests"}
    }


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path: Path):
    module = module_name(path)
    if module in ("scdnet.__init__", "scdnet.__main__"):
        return  # gather the public names and the commands
    own = next((package for package in BELOW if is_within(module, package)), None)
    allowed = BASE | ({own} | BELOW[own] if own else set())
    upward = {
        name for name in imported(path) if not any(is_within(name, package) for package in allowed)
    }
    assert not upward


def test_evaluation_never_imports_the_trainer():
    for path in ROOT.glob("scdnet/eval/*.py"):
        above = ("scdnet.engine.train.pretrain", "scdnet.engine.train.loop")
        assert not any(is_within(name, module) for name in imported(path) for module in above), path


@pytest.mark.parametrize(
    ("word", "home"),
    [
        ("torch.cuda", "scdnet.engine.device"),
        ("autocast", "scdnet.engine.device"),
        ("torch.compile", "scdnet.engine.device"),
        ("torch.distributed", "scdnet.engine.distributed"),
        ("import distributed", "scdnet.engine.distributed"),
    ],
)
def test_only_one_file_speaks_of_a_part_of_the_machine(word: str, home: str):
    speaking = {module_name(path) for path in SOURCES if word in path.read_text()}
    assert speaking <= {home}


# The only modules that know of a certain skeleton: their files, demo or layouts have its joints.
KNOW_A_SKELETON = (
    "scdnet.skeletons", "scdnet.raw.ntu", "scdnet.raw.pku", "scdnet.raw.pku_tree",
    "scdnet.raw.joint_mapping", "scdnet.raw.ready_made", "scdnet.raw.datasets", "scdnet.synthetic",
)  # fmt: skip
# What others may say: they offer the mapping to ntu25 by its name, or count something else.
MAY_SAY = {
    "scdnet.__init__": {"ntu25"},
    "scdnet.raw.recording": {"ntu25"},
    "scdnet.raw.custom.frames": {"NTU_25"},
    "scdnet.commands.capture": {"NTU_25"},
    "scdnet.commands.prepare_import": {"NTU_25"},
    # A percentile.
    "scdnet.commands.store_report": {25},
}


def words_of_a_skeleton(source: str) -> set[object]:
    """Return the names of NTU's skeleton and the counts of its joints in a program."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imports = (node for node in nodes if isinstance(node, ast.ImportFrom))
    names |= {alias.name for node in imports for alias in node.names}
    constants = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {name for name in names if "NTU_25" in name} | (constants & {25, "ntu25"})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from scdnet.skeletons import NTU_25", {"NTU_25"}),
        ("from scdnet import skeletons\nskeletons.NTU_25.bones", {"NTU_25"}),
        ("frames.reshape(-1, 25, 3)", {25}),
        ("name == 'ntu25'", {"ntu25"}),
        ("'Map to ntu25, of 25 joints.'\n# NTU_25\nx = [250, 2.5]", set()),
    ],
)
def test_words_of_a_skeleton_are_found(source: str, expected: set[object]):
    assert words_of_a_skeleton(source) == expected


@pytest.mark.parametrize("path", sorted(ROOT.glob("scdnet/**/*.py")), ids=module_name)
def test_joints_come_from_the_store(path: Path):
    module = module_name(path)
    if not any(is_within(module, package) for package in KNOW_A_SKELETON):
        found = words_of_a_skeleton(path.read_text())
        assert found <= MAY_SAY.get(module, set())


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_functions_stay_short(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"


def loaded_by(statement: str) -> set[str]:
    """Return the modules that are loaded after a statement in a new interpreter."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import scdnet.__main__", {"torch", "numpy", "pydantic", "h5py"}),
        (
            "import scdnet.commands.prepare_ntu, scdnet.commands.prepare_pku\n"
            "import scdnet.commands.prepare_custom, scdnet.commands.inspect\n"
            "import scdnet.raw.recording",
            {"torch", "sklearn", "matplotlib", "tensorboard"},
        ),
        ("import scdnet.eval.classify", {"tensorboard", "matplotlib"}),
    ],
)
def test_what_is_not_needed_is_not_imported(statement: str, absent: set[str]):
    assert not loaded_by(statement) & absent


WITHOUT_POSIX = """
import importlib, os, pkgutil, select, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for module, name in ((select, "poll"), (os, "fork"), (os, "sched_getaffinity")):
    if hasattr(module, name):
        delattr(module, name)
import scdnet
for module in pkgutil.walk_packages(scdnet.__path__, "scdnet."):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_every_module_can_be_imported_where_posix_is_absent():
    """Stands for Windows, which has neither fcntl nor resource, poll or fork."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"scdnet.cli", "scdnet.commands.train", "scdnet.viz.render"} <= set(done.stdout.split())
