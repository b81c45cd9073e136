"""The notebooks of examples/ run from top to bottom, and are stored without what they print."""

import re
import shutil
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# The others take two or three times as long.
RUN = [
    pytest.param(path, marks=[] if "embed" in path.stem else [pytest.mark.slow])
    for path in NOTEBOOKS
]
# Seconds after which a cell that has not ended will not.
TIMEOUT = 300


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def prose_of(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def set_parameters(notebook, **values: object) -> None:
    """Assign other values in the cell that is tagged `parameters`."""
    (cell,) = [one for one in notebook.cells if "parameters" in one.metadata.get("tags", [])]
    for name, value in values.items():
        cell.source = re.sub(rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.M)


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in; kernels find the command `scdnet` and keep their files there."""
    scripts = Path(sys.executable).parent
    if shutil.which("scdnet", path=str(scripts)) is None:
        pytest.skip("the command scdnet is not installed beside this Python")
    monkeypatch.setenv("PATH", str(scripts), prepend=";" if sys.platform == "win32" else ":")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    # The tests share the cores.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    (tmp_path / "work").mkdir()
    return tmp_path


@pytest.mark.end_to_end
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, jupyter: Path):
    notebook = read(path)
    # A few steps show as well that it runs.
    set_parameters(notebook, NUM_STEPS=3)
    resources = {"metadata": {"path": str(jupyter / "work")}}
    nbclient.NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name="python3", resources=resources
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    # A command that fails does not stop a notebook.
    assert "error:" not in printed and "Traceback" not in printed, printed
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 1
    assert sum(len(one["data"]["image/png"]) for one in pictures) > 20_000


def test_there_are_three_notebooks():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_the_weights_that_come_with_scdnet_in_one_cell(path: Path):
    notebook = read(path)
    assert [code.count('"scdnet-small"') for code in code_of(notebook)].count(1) == 1
    source = nbformat.writes(notebook)
    set_parameters(notebook, ENCODER="other")
    assert "scdnet-small" not in "".join(code_of(notebook)) and nbformat.writes(notebook) != source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_output(path: Path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_what_the_api_page_lists(path: Path):
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: ([\w.]+)$", text, flags=re.M))
    pairs = re.findall(r"^from (scdnet[\w.]*) import (\w+)$", "\n".join(code_of(read(path))), re.M)
    assert pairs and {f"{module}.{name}" for module, name in pairs} <= listed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere_and_it_is_linked(path: Path):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose_of(read(path)))
    assert len(targets) >= 3
    assert [target for target in targets if not (path.parent / target).exists()] == []
    for page in ("README.md", "docs/notebooks/index.md"):
        assert f"examples/{path.name}" in (ROOT / page).read_text(encoding="utf-8"), page
