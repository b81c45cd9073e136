"""Run the notebooks of examples/ and take the pictures that they show, for docs/notebooks/.

python docs/notebook_pictures.py [ENCODER]
"""

import base64
import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"


def take_pictures(path: Path, encoder: str | None) -> None:
    """Run a notebook, with another encoder if one is given, and keep its pictures."""
    notebook = nbformat.read(path, as_version=4)
    if encoder is not None:
        for cell in notebook.cells:
            cell.source = re.sub(
                r"^ENCODER = .*$", f"ENCODER = {encoder!r}", cell.source, flags=re.M
            )
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get("image/png")
            if data is not None:
                image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
                # Few colors make a small file.
                out = DOCS / "images" / f"notebook_{cell.id}.png"
                image.quantize(128).save(out, optimize=True)


def main() -> None:
    """Take the pictures of all notebooks."""
    encoder = str(Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else None
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        take_pictures(path, encoder)


if __name__ == "__main__":
    main()
