"""The features of a whole store, with all that evaluations need to know of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdnet.config import Config
from scdnet.data.store import open_sequences
from scdnet.engine.device import resolve_device, set_precision
from scdnet.engine.distributed import process_group
from scdnet.errors import ScdnetError
from scdnet.eval.features import (
    FINAL_LEVEL,
    Features,
    Source,
    at_level,
    extract_features,
    extraction_settings,
    load_all_clips,
    load_encoder_or_baseline,
)
from scdnet.files import file_sha256

SAME = 0.05  # of its length: features of one sequence differ by less, bf16 against fp32 by 2 %, of two by 10 % and more


@dataclass(frozen=True)
class FeatureTable:
    """A row for each sequence of a store, in its order."""

    x: Tensor  # (N, 2D) float32 on the CPU: [v_t ; v_s]
    label: Tensor  # (N,) int64
    name: np.ndarray  # (N,) str, rising
    is_train: dict[str, Tensor]  # by benchmark: (N,) bool
    class_names: tuple[str, ...]
    dataset: str
    stream: str
    store: str  # path
    source: Source
    store_sha256: str
    extraction_settings: dict[str, Any]  # of `extraction_settings`

    def rows(self, benchmark: str, *, train: bool) -> Tensor:
        """The rows of one split of `benchmark`, rising. Raises ScdnetError if there is no such benchmark, or row."""
        if benchmark not in self.is_train:
            known = ", ".join(self.is_train) or "none"
            raise ScdnetError(
                f"{self.store}: no benchmark {benchmark!r}; its features have {known}"
            )
        rows = (self.is_train[benchmark] == train).nonzero()[:, 0]
        if not len(rows):
            side = "training" if train else "test"
            raise ScdnetError(f"{self.store}: the {side} split of benchmark {benchmark!r} is empty")
        return rows

    @property
    def level(self) -> int:
        """Of the encoder that they were taken at; files of before there were levels have the end."""
        return self.extraction_settings.get("feature_level", FINAL_LEVEL)

    @property
    def weights(self) -> tuple[object, ...]:
        """What tells one encoder from another: a hash and a level, or of a control its name and all that decides it."""
        source = self.source
        if source.sha256:
            return source.sha256, self.level
        return source.checkpoint, source.seed, self.extraction_settings

    def features(self, rows: Tensor) -> Features:
        """The features and classes of `rows` (n,)."""
        return Features(self.x[rows], self.label[rows])


def cross_dataset_gallery(
    other: FeatureTable, table: FeatureTable, queries: Tensor
) -> tuple[Features, Tensor]:
    """All of `other` with a class of `table`, in the ids of `table`, and those of the rows `queries` with such a class.

    Classes are matched by name. Raises ScdnetError if there are none, if the encoders differ, or if a sequence is both
    query and in the gallery.
    """
    if other.x.shape[1:] != table.x.shape[1:] or other.weights != table.weights:
        raise ScdnetError(f"{other.store} and {table.store}: expected features of one encoder")
    both, theirs, ours = np.intersect1d(other.name, table.name[queries], return_indices=True)
    theirs, ours = other.x[theirs], table.x[queries[ours]]
    is_same = (
        (theirs - ours).norm(dim=1) < SAME * ours.norm(dim=1)
    ).numpy()  # other data sets may have the same names
    if is_same.any():
        raise ScdnetError(
            f"{other.store}: {is_same.sum()} of its sequences are queries too, {both[is_same][0]} for one"
        )
    own = {name: number for number, name in enumerate(table.class_names)}
    translated = torch.tensor([own.get(name, -1) for name in other.class_names])[other.label]
    is_known = translated >= 0
    common = translated[is_known].unique()
    queries = queries[torch.isin(table.label[queries], common)]
    if not len(queries):
        raise ScdnetError(f"{other.store} and {table.store}: no class of one name")
    return Features(other.x[is_known], translated[is_known]), queries


def extract_table(config: Config, checkpoint: str) -> FeatureTable:
    """The features that `checkpoint` (see `load_encoder_or_baseline`) gives of the config's store: one pass over its sequences."""
    encoder, source = load_encoder_or_baseline(checkpoint, config)
    with process_group(resolve_device(config.device)):
        clips = load_all_clips(config)
        features = extract_features(
            at_level(encoder, config.feature_level), clips, config.precision
        )
    set_precision("fp32", clips.device)  # what follows is a function of the features alone
    with open_sequences(config.data.store) as store:
        is_train = {
            benchmark: torch.from_numpy(store.is_train(benchmark)) for benchmark in store.benchmarks
        }
    return FeatureTable(
        *features,
        name=clips.name,
        is_train=is_train,
        class_names=clips.class_names,
        dataset=clips.dataset,
        stream=config.stream,
        store=str(config.data.store),
        source=source,
        store_sha256=file_sha256(config.data.store),
        extraction_settings=extraction_settings(config),
    )
