"""The way of a checkpoint to the evaluations: encoder, sequences and features."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from scdnet.config import Config
from scdnet.data.clips import Clips, RankInfo
from scdnet.engine.build import open_clips
from scdnet.engine.device import disable_malloc_trim
from scdnet.engine.logs import log
from scdnet.eval.feature_table import FeatureTable, StoreTable, read_store_table
from scdnet.eval.features import extract_features, extraction_settings, load_encoder_or_baseline
from scdnet.results.record import Baseline, EncoderRecord


class Inputs(NamedTuple):
    """An encoder, and the sequences on which it is evaluated."""

    encoder: nn.Module
    record: EncoderRecord
    store: StoreTable
    # Reads the frames when it is first called.
    load_clips: Callable[[], Clips]
    # The result of `extraction_settings`.
    settings: dict[str, Any]

    def extract(self) -> FeatureTable:
        """Extract the features of all sequences; several ranks share the work."""
        precision = self.settings["precision"]
        x = extract_features(self.encoder, self.load_clips(), precision).x
        return FeatureTable(**vars(self.store), x=x, encoder=self.record, settings=self.settings)


def build_inputs(
    sources: Sequence[Path | Baseline], config: Config, device: torch.device, ranks: RankInfo
) -> Iterator[Inputs]:
    """Build the inputs for each checkpoint or baseline; they share the sequences."""
    store = read_store_table(config.data.store)
    settings = extraction_settings(config)

    @cache
    def load_clips() -> Clips:
        clips = open_clips(config.data, config.stream, device, ranks=ranks)
        log(clips.cache_summary)
        disable_malloc_trim()
        return clips

    for source in sources:
        encoder, record = load_encoder_or_baseline(source, config, store.skeleton)
        yield Inputs(encoder, record, store, load_clips, settings)
