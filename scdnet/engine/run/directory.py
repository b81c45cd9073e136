"""The directory of a run: created, resumed or overwritten, never mixed up."""

import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from scdnet.config import Config
from scdnet.config_file import LENGTHS, changed_keys, dump_config, with_defaults
from scdnet.data.mixture import read_hashes
from scdnet.engine.checkpoint import CheckpointError
from scdnet.engine.locate import find_path, hash_weights
from scdnet.engine.logs import log
from scdnet.engine.run.checkpoints import find_checkpoints
from scdnet.engine.run.lock import LOCK
from scdnet.errors import ScdnetError
from scdnet.files import check_writable, write_text

CONFIG = "config.yaml"
# The hash of the content of each store, for a run that has no checkpoint yet.
STORE = "store.sha256"
# The hash of the weights that the run has started from, if they are not random.
INIT = "init.sha256"
# The metrics of the training, a line for each epoch.
METRICS = "metrics.jsonl"
# The directory of TensorBoard's files.
BOARD = "tensorboard"
# Names of what evaluations of baselines leave in the directory before the training.
MAY_COME_FIRST = (
    LOCK,
    "results.jsonl",
    "features*.h5",
    "*_random-init.*",
    "*_raw.*",
    "*_raw-pca.*",
    "*.tmp",
)
# Names of what a run has before its first checkpoint.
OF_A_START = (CONFIG, STORE, INIT, METRICS, BOARD)
# Keys that a resumed run may change, and sections that training does not read.
FREE_TO_CHANGE = {
    "runs_dir",
    "device",
    "eval_every",
    "eval_max_clips",
    "save_every",
    "keep_checkpoints",
    # The content of the stores counts, not their paths.
    "data.store",
    # The content of the weights counts, not their path.
    "init",
    "data.cache",
    "data.num_workers",
    "compile",
    "protocols",
    "feature_level",
    "display_name",
}
EVALUATION = ("linear.", "finetune.")


class RunDirError(ScdnetError):
    """The run directory cannot be used as asked."""


def check_outputs(folder: Path) -> None:
    """Raise ScdnetError if a training cannot write to the directory of its run, `folder`."""
    check_writable(folder / METRICS, folder / BOARD / "events")


def check_run_dir(config: Config, *, resume: bool, overwrite: bool) -> bool:
    """Check whether there is something to resume; nothing is written or removed yet.

    Raises RunDirError for a directory that exists, unless `resume` or `overwrite` says what to do
    with it.
    """
    folder = config.run_dir
    if resume and find_checkpoints(folder):
        return True
    if resume:
        log(f"{folder}: nothing to resume, starting a new run")
    content = [name for name in _names_in(folder) if not _matches(name, MAY_COME_FIRST)]
    if not content:
        return False
    if CONFIG not in content:
        found = ", ".join(content[:4])
        raise RunDirError(
            f"{folder}: exists but is not a run directory, it contains {found} and no {CONFIG}; "
            "choose another name="
        )
    if resume:
        _check_start(content, config)
    elif not overwrite:
        raise RunDirError(
            f"{folder}: this run exists; continue it with --resume, replace it with --overwrite, "
            "or choose another name="
        )
    return False


def _check_start(content: list[str], config: Config) -> None:
    """Raise RunDirError if a directory without checkpoints is no start of a run of `config`."""
    more = [name for name in content if not _matches(name, OF_A_START)]
    if more:
        found = ", ".join(more[:4])
        raise RunDirError(
            f"{config.run_dir}: no checkpoint to resume, but {found}; "
            "replace everything with --overwrite"
        )
    check_same_run(config)


def check_same_run(config: Config) -> None:
    """Raise RunDirError if the run directory contains a run of another config or other data.

    CONFIG and STORE tell. Data that are gone are not compared. Raises StoreError if the store is
    damaged.
    """
    path = config.run_dir / CONFIG
    try:
        saved = yaml.safe_load(path.read_bytes())
        if not isinstance(saved, dict):
            raise ValueError(f"expected a mapping, found {saved!r}")
    except (yaml.YAMLError, ValueError) as error:
        raise RunDirError(
            f"{path}: not a config ({error}); remove the run, or replace it with --overwrite"
        ) from None
    check_resumable(saved, config, path)
    path = config.run_dir / STORE
    if path.is_file() and all(store.is_file() for store in config.data.stores):
        saved_sha256 = path.read_text(encoding="utf-8", errors="replace").strip()
        check_same_stores(saved_sha256, read_hashes(config.data.stores), config, path)
    init = (saved.get("init"), read_init_hash(config.run_dir))
    has_checkpoint = bool(find_checkpoints(config.run_dir))
    check_same_init(
        *init, config=config, path=config.run_dir / CONFIG, has_checkpoint=has_checkpoint
    )


def read_init_hash(run_dir: Path) -> str:
    """Return the hash of the weights that a run has started from; empty: random ones."""
    path = run_dir / INIT
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""


def check_same_init(
    saved: str | None, saved_sha256: str, *, config: Config, path: Path, has_checkpoint: bool
) -> None:
    """Raise RunDirError if a run has started from other weights than those of `config.init`.

    `saved` is the `init` in the run's file `path`. Where it is still the same, a checkpoint does
    not need it: it may be gone, and a warning tells if it contains other weights now.
    """
    source = config.init
    is_same = source == saved
    if is_same and (source is None or not saved_sha256 or find_path(source) is None):
        return
    try:
        if source is not None and hash_weights(source) == saved_sha256:
            return
    except CheckpointError:
        # A directory whose weights are gone.
        if is_same and has_checkpoint:
            return
        raise
    started = f"init={saved}" if saved else "random weights"
    found = f"init={source}" if source else "no init"
    if is_same:
        found += ", which contains other weights now"
    what = f"{path}: the run has started from {started}, found {found}"
    if not (is_same and has_checkpoint):
        raise RunDirError(f"{what}; restore it, or start a new run under another name=")
    log(f"warning: {what}; it continues with its own weights")


def check_same_stores(saved_sha256: str, store_sha256: str, config: Config, path: Path) -> None:
    """Raise RunDirError if the run in whose file `path` hashes are saved read another content.

    `store_sha256` are the hashes of what the stores of `config` contain now.
    """
    if saved_sha256 == store_sha256:
        return
    saved = saved_sha256.split()
    now = store_sha256.split()
    changed = [
        str(store)
        for store, old, new in zip(config.data.stores, saved, now, strict=False)
        if old != new
    ]
    that = "the store that this run was started with; restore that one"
    what = f"{', '.join(changed)} has another content than {that}"
    if len(saved) != len(now):
        what = f"the run was started with {len(saved)} stores, data.store has {len(now)}"
    elif sorted(saved) == sorted(now):
        what = "data.store lists the stores of this run in another order; restore their order"
    raise RunDirError(f"{path}: cannot resume: {what}, or start a new run under another name=")


def prepare_run_dir(
    config: Config,
    store_sha256: str,
    *,
    fresh: bool,
    overwrite: bool = False,
    init_sha256: str = "",
) -> None:
    """Make the directory; write the resolved config and the hashes of what it is based on to it.

    If the run starts `fresh`, what an earlier start left goes; with `overwrite` everything does.
    """
    folder = config.run_dir
    names = _names_in(folder)
    if fresh and CONFIG in names:
        doomed = names if overwrite else [name for name in names if _matches(name, OF_A_START)]
        # Checkpoints go first and the config last: a kill in between leaves a run without
        # checkpoints, which can still be resumed or overwritten.
        for name in sorted(doomed, key=lambda name: (not name.endswith(".pt"), name == CONFIG)):
            _remove(folder / name)
    for name in names:
        # Left by a process that was killed while writing.
        if name.endswith(".tmp"):
            _remove(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG, yaml.safe_dump(dump_config(config), sort_keys=False))
    # The config comes first: the hash alone would not make the directory that of a run.
    write_text(folder / STORE, f"{store_sha256}\n")
    if init_sha256:
        write_text(folder / INIT, f"{init_sha256}\n")


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.name != LOCK:
        path.unlink(missing_ok=True)


def check_resumable(saved: Mapping[str, Any], config: Config, path: Path) -> None:
    """Raise RunDirError if the config `saved` in `path` differs in a key that must not change.

    A key that was added since then has its default.
    """
    is_multistep = config.optim.schedule == "multistep"
    changed = [
        f"{key} is {old} in the run, {new} in the config"
        for key, (old, new) in changed_keys(with_defaults(saved), dump_config(config)).items()
        if key not in FREE_TO_CHANGE
        and not key.startswith(EVALUATION)
        and not (is_multistep and _is_other_length(key, old, new))
    ]
    if changed:
        raise RunDirError(
            f"{path}: cannot resume: {'; '.join(changed)}; "
            "start a new run under another name= or runs_dir="
        )


def _is_other_length(key: str, old: object, new: object) -> bool:
    """Check whether a change only makes a run longer or shorter, in the unit that it counts.

    The learning rates of a multistep schedule do not depend on that.
    """
    return key in LENGTHS and None not in (old, new)
