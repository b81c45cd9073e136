"""The folder of a run: made, taken up again or replaced, never mixed up."""

import shutil
from pathlib import Path

import yaml

from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config
from scdnet.errors import ScdnetError

LAST = "last.pt"
FREE_TO_CHANGE = ("device", "eval_every", "save_every", "optim.epochs")  # keys that a resumed run may change


class RunDirError(ScdnetError):
    """A run folder that cannot be used as asked."""


def open_run_dir(config: Config, *, resume: bool, overwrite: bool) -> Path | None:
    """Prepare the folder of a run; returns the checkpoint to go on from, None for a fresh start.

    A folder that exists is neither reused nor overwritten unless `resume` or `overwrite` says so: RunDirError.
    """
    folder = config.run_dir
    last = folder / LAST
    if folder.exists() and not (resume or overwrite):
        raise RunDirError(f"{folder}: this run exists; go on with --resume, replace it with --overwrite, or set name=")
    if resume and last.is_file():
        return last
    if resume:
        print(f"{folder}: nothing to resume, starting afresh")
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dump_config(config), sort_keys=False)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return None


def check_resumable(saved: dict, config: Config, path: Path) -> None:
    """Raise RunDirError if the config of the checkpoint at `path` differs from `config` in a key that matters."""
    changed = [key for key in changed_keys(saved, dump_config(config)) if key not in FREE_TO_CHANGE]
    if changed:
        raise RunDirError(f"{path}: cannot resume with another {', '.join(changed)}; start a new run with name=")
