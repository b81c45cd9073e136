"""A file that keeps what finished runs of sweeps have measured, for other machines.

Source: docs/sweeps.md.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from scdnet.config import Config
from scdnet.config_file import dump_config, with_defaults
from scdnet.data.mixture import read_hashes
from scdnet.engine.locate import hash_weights
from scdnet.engine.logs import log
from scdnet.engine.run.directory import FREE_TO_CHANGE, METRICS, STORE, read_init_hash
from scdnet.engine.run.lock import locked_file
from scdnet.errors import ScdnetError
from scdnet.files import atomic_write, check_writable
from scdnet.results.kept_lines import (
    KeptBaseline,
    KeptEvaluation,
    KeptRun,
    current_evaluations,
    parse_line,
)
from scdnet.results.record import Result, hash_settings
from scdnet.results.results_file import RESULTS, read_results

# Keys of a config that do not influence what is measured. The content of the stores and of the
# initial weights counts, not their paths.
NOT_COUNTED = (FREE_TO_CHANGE | {"name"}) - {"protocols", "feature_level"}


class Outcome(NamedTuple):
    """The numbers of a finished run."""

    # The evaluations of its encoder and of the baselines beside it.
    results: list[Result]
    # None where the run does not state it.
    train_cpu_seconds: float | None


class KeptRuns:
    """The runs that a file keeps. Several processes and threads may add to it at a time."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it exists. Raises ScdnetError, which states the line that is wrong."""
        self.path = path
        self._content = b""
        self._baselines: dict[str, KeptEvaluation] = {}
        # The keys are what counts of their configs.
        self._runs: dict[str, list[KeptRun]] = {}
        self._thread_lock = Lock()
        # Stores that are not on this machine; each is logged once.
        self._missing: set[Path] = set()
        self._hashes: dict[Path, str] = {}
        self._init_hashes: dict[str, str] = {}
        self._load()

    def check_writable(self) -> None:
        """Raise an error if nothing can be added to the file; it comes before the work is done."""
        check_writable(self.path)
        with self._thread_lock, locked_file(self.path):
            pass

    def find(self, config: Config) -> KeptRun | None:
        """Return the run of this config on stores of this content, whatever their paths are.

        A store that is not on this machine cannot be compared: its file name counts instead. A run
        with initial weights that are not on this machine is not found.
        """
        init_sha256 = self._hash_init(config.init)
        same = [
            run
            for run in self._runs.get(counted_values(dump_config(config)), [])
            if run.init_sha256 == init_sha256
        ]
        # The last one counts if there are several on a store that is not here.
        return next((run for run in reversed(same) if self._has_stores(run, config)), None)

    def outcome(self, config: Config) -> Outcome:
        """Return what the run of this config, which the file keeps, has measured."""
        run = self.find(config)
        assert run is not None
        name = {"display_name": config.display_name or None}
        own = [evaluation.model_copy(update=name) for evaluation in run.evaluations]
        baselines = [self._baselines[id_] for id_ in run.baselines]
        results = [result for part in (*own, *baselines) for result in part.results()]
        return Outcome(results, run.train_cpu_seconds)

    def keep(self, config: Config) -> None:
        """Add the finished run in `config.run_dir`, and its baselines, unless they are kept.

        Raises ScdnetError if the run has no results, or the file cannot be read or written.
        """
        run, baselines = describe_run(config)
        with self._thread_lock, locked_file(self.path):
            # Another process may have added lines.
            self._load()
            if self.find(config) is not None:
                return
            lines: list[KeptBaseline | KeptRun] = [
                line for line in baselines if line.id not in self._baselines
            ]
            text = "".join(f"{line.model_dump_json()}\n" for line in (*lines, run))
            is_torn = self._content and not self._content.endswith(b"\n")
            with atomic_write(self.path) as file:
                file.write(self._content + b"\n" * bool(is_torn) + text.encode())
            self._load()
        if self.find(config) is None:
            raise ScdnetError(
                f"{config.run_dir}: its store has changed since the sweep started, or the weights "
                "of its init have; start it again"
            )

    def _has_stores(self, run: KeptRun, config: Config) -> bool:
        paths = config.data.store_sections.items()
        if len(run.stores) != len(paths):
            return False
        for (name, section), (kept_name, sha256) in zip(paths, run.stores.items(), strict=True):
            (path,) = section.stores
            if not path.is_file():
                if name != kept_name:
                    return False
                self._log_missing(path)
            elif self._read_hash(path) != sha256:
                return False
        return True

    def _read_hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = read_hashes([path])
        return self._hashes[path]

    def _hash_init(self, source: str | None) -> str | None:
        """Return the hash of the initial weights of a run, empty if random; None: not here."""
        if source is None:
            return ""
        if source not in self._init_hashes:
            try:
                self._init_hashes[source] = hash_weights(source)
            # An earlier run of the sweep may write them.
            except ScdnetError:
                return None
        return self._init_hashes[source]

    def _log_missing(self, path: Path) -> None:
        if path not in self._missing:
            self._missing.add(path)
            log(f"{path}: not here to be compared; {self.path} is trusted for a store of this name")

    def _load(self) -> None:
        if self.path.is_dir():
            raise ScdnetError(f"{self.path}: is a directory, expected the name of a file")
        content = self.path.read_bytes() if self.path.exists() else b""
        baselines = {}
        runs: dict[str, list[KeptRun]] = {}
        for number, text in enumerate(content.splitlines(), 1):
            line = parse_line(text, f"{self.path}:{number}")
            if isinstance(line, KeptBaseline):
                baselines[line.id] = line.evaluation
                continue
            unknown = [id_ for id_ in line.baselines if id_ not in baselines]
            if unknown:
                raise ScdnetError(
                    f"{self.path}:{number}: expected a line of the baseline {unknown[0]} above, "
                    "found none; restore that line, or delete this one"
                )
            runs.setdefault(counted_values(line.config), []).append(line)
        self._content = content
        self._baselines = baselines
        self._runs = runs


def counted_values(dumped: Mapping[str, Any]) -> str:
    """Return what counts of a dumped config; a key that was added since then has its default."""
    values = with_defaults(dumped)
    return json.dumps(
        {key: value for key, value in values.items() if key not in NOT_COUNTED}, sort_keys=True
    )


def describe_run(config: Config) -> tuple[KeptRun, list[KeptBaseline]]:
    """Return the lines of the finished run in `config.run_dir`, and of its baselines.

    Raises ScdnetError if it has no results.
    """
    found = current_evaluations(read_results(config.run_dir / RESULTS), config.feature_level)
    own = [evaluation for evaluation in found if evaluation.baseline is None]
    if not own:
        raise ScdnetError(f"{config.run_dir / RESULTS}: no results; delete the run to repeat it")
    baselines = [
        KeptBaseline(id=hash_settings(evaluation.identity), evaluation=evaluation)
        for evaluation in found
        if evaluation.baseline is not None
    ]
    hashes = (config.run_dir / STORE).read_text(encoding="utf-8").split()
    counted = json.loads(counted_values(dump_config(config)))
    run = KeptRun(
        config=counted,
        stores=dict(zip(config.data.store_sections, hashes, strict=True)),
        init_sha256=read_init_hash(config.run_dir),
        train_cpu_seconds=read_cpu_seconds(config.run_dir),
        baselines=tuple(line.id for line in baselines),
        evaluations=tuple(own),
    )
    return run, baselines


def read_cpu_seconds(run_dir: Path) -> float | None:
    """Return the CPU time of the training steps of a run; None if it does not state all of it."""
    try:
        lines = (run_dir / METRICS).read_text(encoding="utf-8").splitlines()
        return round(sum(json.loads(line)["cpu_seconds"] for line in lines), 1) or None
    # The file is missing, damaged or of an earlier version.
    except (OSError, ValueError, LookupError, TypeError):
        return None


def describe_cpu_seconds(seconds: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Return a note on the CPU time of the trainings, given by row, or none if it is not known."""
    parts = []
    for row, values in seconds.items():
        known = [value for value in values if value is not None]
        if known:
            parts.append(f"{row} {sum(known) / len(known):.0f}")
    return [f"CPU seconds of a training, mean over its seeds: {', '.join(parts)}."] if parts else []
