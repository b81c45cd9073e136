"""The folder of a run: made, taken up again or replaced, never mixed up."""

import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config
from scdnet.engine.logs import log
from scdnet.engine.run.checkpoints import find_checkpoints
from scdnet.engine.run.lock import LOCK
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write

CONFIG = "config.yaml"
# names of what controls leave, evaluated before the training
MAY_COME_FIRST = (LOCK, "results.jsonl", "features.h5", "*_none.*", "*_raw.*", "*.tmp")
OF_A_START = (CONFIG, "metrics.jsonl", "tensorboard")  # what a run has before its first checkpoint
# keys that a resumed run may change, and sections that training does not look at
FREE_TO_CHANGE = {
    "runs_dir",
    "device",
    "eval_every",
    "eval_max_clips",
    "save_every",
    "keep_checkpoints",
    "data.cache",
    "data.num_workers",
    "compile",
    "protocols",
    "feature_level",
    "display_name",
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
        log(f"{folder}: nothing to resume, starting afresh")
    content = [name for name in _names_in(folder) if not _is_like(name, MAY_COME_FIRST)]
    if overwrite and content and CONFIG not in content:
        raise RunDirError(
            f"{folder}: not overwritten, it holds no {CONFIG} and so is not a run; set name="
        )
    if resume and CONFIG in content:
        _check_start(content, config)
    elif content and not overwrite:
        if CONFIG not in content:
            raise RunDirError(
                f"{folder}: is there, with {', '.join(content[:4])}, and is no run; set name="
            )
        raise RunDirError(
            f"{folder}: this run exists; go on with --resume, replace it with --overwrite, or set name="
        )
    return False


def _check_start(content: list[str], config: Config) -> None:
    """Raise RunDirError if a folder without checkpoints holds more than the start of a run of `config`."""
    more = [name for name in content if not _is_like(name, OF_A_START)]
    if more:
        found = ", ".join(more[:4])
        raise RunDirError(
            f"{config.run_dir}: no checkpoint to resume, but {found}; replace all of it with --overwrite"
        )
    check_same_run(config)


def check_same_run(config: Config) -> None:
    """Raise RunDirError if the run folder holds a run of another config, by its CONFIG."""
    path = config.run_dir / CONFIG
    try:
        saved = yaml.safe_load(path.read_bytes())
        if not isinstance(saved, dict):
            raise ValueError(f"a mapping was expected, found {saved!r}")
    except (yaml.YAMLError, ValueError) as error:
        raise RunDirError(
            f"{path}: not a config ({error}); remove the run, or let train.py --overwrite replace it"
        ) from None
    check_resumable(saved, config, path)


def prepare_run_dir(config: Config, *, fresh: bool, overwrite: bool = False) -> None:
    """Make the folder and write the resolved config into it; what a run has left there goes if this one starts `fresh`.

    With `overwrite` everything goes.
    """
    folder = config.run_dir
    names = _names_in(folder)
    if fresh and CONFIG in names:
        doomed = names if overwrite else [name for name in names if _is_like(name, OF_A_START)]
        # a kill in between leaves a run, without checkpoints, that can still be resumed or overwritten
        for name in sorted(doomed, key=lambda name: (not name.endswith(".pt"), name == CONFIG)):
            _remove(folder / name)
    for name in names:
        if name.endswith(".tmp"):  # of a process that was killed while it wrote
            _remove(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / CONFIG) as partial:
        partial.write_text(yaml.safe_dump(dump_config(config), sort_keys=False), encoding="utf-8")


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.name != LOCK:
        path.unlink(missing_ok=True)


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
        raise RunDirError(
            f"{path}: cannot resume with another {', '.join(changed)}; a new run takes another name or runs_dir"
        )
