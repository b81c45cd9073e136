"""The folder of a run: made, taken up again or replaced, never mixed up."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config
from scdnet.engine.logs import say
from scdnet.errors import ScdnetError
from scdnet.files import written_aside

CONFIG, LAST = "config.yaml", "last.pt"
MAY_COME_FIRST = {"results.jsonl"}  # of controls that were evaluated before the training
# keys that a resumed run may change, and sections that training does not look at
FREE_TO_CHANGE = {
    "runs_dir",
    "device",
    "eval_every",
    "eval_clips",
    "save_every",
    "data.resident",
    "data.workers",
    "compile",
    "protocols",
}
EVALUATION = ("linear.", "finetune.")


class RunDirError(ScdnetError):
    """A run folder that cannot be used as asked."""


def find_start(config: Config, *, resume: bool, overwrite: bool) -> Path | None:
    """The checkpoint to go on from, None for a fresh start; nothing is written or removed yet.

    Raises RunDirError for a folder that exists, unless `resume` or `overwrite` says what to do with it.
    """
    folder, last = config.run_dir, config.run_dir / LAST
    if resume and last.is_file():
        return last
    if resume:
        say(f"{folder}: nothing to resume, starting afresh")
    content = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if overwrite and content - MAY_COME_FIRST and CONFIG not in content:
        raise RunDirError(f"{folder}: not overwritten, it holds no {CONFIG} and so is not a run; set name=")
    if content - MAY_COME_FIRST and not (overwrite or (resume and CONFIG in content)):
        raise RunDirError(f"{folder}: this run exists; go on with --resume, replace it with --overwrite, or set name=")
    return None


def prepare_run_dir(config: Config, *, fresh: bool) -> None:
    """Make the folder, emptied if the run starts `fresh`, and write the resolved config into it."""
    folder = config.run_dir
    if fresh and (folder / CONFIG).is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with written_aside(folder / CONFIG) as partial:
        partial.write_text(yaml.safe_dump(dump_config(config), sort_keys=False), encoding="utf-8")


def check_resumable(saved: Mapping[str, Any], config: Config, path: Path) -> None:
    """Raise RunDirError if the config of the checkpoint at `path` differs from `config` in a key that matters."""
    free = FREE_TO_CHANGE | ({"optim.epochs"} if config.optim.schedule == "multistep" else set())
    changed = changed_keys(saved, dump_config(config))
    changed = [key for key in changed if key not in free and not key.startswith(EVALUATION)]
    if changed:
        raise RunDirError(f"{path}: cannot resume with another {', '.join(changed)}; start a new run with name=")
