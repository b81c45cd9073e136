"""The folder of a run: made, taken up again or replaced, never mixed up."""

import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config
from scdnet.engine.logs import say
from scdnet.engine.run_checkpoints import find_checkpoints
from scdnet.engine.run_lock import LOCK
from scdnet.errors import ScdnetError
from scdnet.files import written_aside

CONFIG = "config.yaml"
# names of what controls leave, evaluated before the training
MAY_COME_FIRST = (
    LOCK,
    "results.jsonl",
    "features.h5",
    "*_none.npz",
    "*_none.tsv",
    "*_none.txt",
    "*_raw.npz",
    "*_raw.tsv",
)
# keys that a resumed run may change, and sections that training does not look at
FREE_TO_CHANGE = {
    "runs_dir",
    "device",
    "eval_every",
    "eval_clips",
    "save_every",
    "keep",
    "data.resident",
    "data.workers",
    "compile",
    "protocols",
}
EVALUATION = ("linear.", "finetune.")


class RunDirError(ScdnetError):
    """A run folder that cannot be used as asked."""


def check_run_dir(config: Config, *, resume: bool, overwrite: bool) -> bool:
    """Whether there is something to resume, as asked for; nothing is written or removed yet.

    Raises RunDirError for a folder that exists, unless `resume` or `overwrite` says what to do with it.
    """
    folder = config.run_dir
    if resume and find_checkpoints(folder):
        return True
    if resume:
        say(f"{folder}: nothing to resume, starting afresh")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    content = {name for name in names if not any(fnmatch(name, pattern) for pattern in MAY_COME_FIRST)}
    if overwrite and content and CONFIG not in content:
        raise RunDirError(f"{folder}: not overwritten, it holds no {CONFIG} and so is not a run; set name=")
    if content and not (overwrite or (resume and CONFIG in content)):
        raise RunDirError(f"{folder}: this run exists; go on with --resume, replace it with --overwrite, or set name=")
    return False


def prepare_run_dir(config: Config, *, fresh: bool) -> None:
    """Make the folder, emptied if the run starts `fresh`, and write the resolved config into it."""
    folder = config.run_dir
    if fresh and (folder / CONFIG).is_file():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with written_aside(folder / CONFIG) as partial:
        partial.write_text(yaml.safe_dump(dump_config(config), sort_keys=False), encoding="utf-8")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def check_resumable(saved: Mapping[str, Any], config: Config, path: Path) -> None:
    """Raise RunDirError if the config of the checkpoint at `path` differs from `config` in a key that matters."""
    free = FREE_TO_CHANGE | ({"optim.epochs"} if config.optim.schedule == "multistep" else set())
    changed = changed_keys(saved, dump_config(config))
    changed = [
        f"{key} ({old} there, {new} here)"
        for key, (old, new) in changed.items()
        if key not in free and not key.startswith(EVALUATION)
    ]
    if changed:
        raise RunDirError(f"{path}: cannot resume with another {', '.join(changed)}; start a new run with name=")
