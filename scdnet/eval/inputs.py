"""The way of a checkpoint to the evaluations: encoder, sequences and features."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.data.rank_info import RankInfo
from scdnet.engine.build import open_clips
from scdnet.engine.device import disable_malloc_trim
from scdnet.engine.logs import log
from scdnet.eval.feature_table import FeatureTable, StoreTable, extract_table, read_store_table
from scdnet.eval.features import extraction_settings, load_encoder_or_baseline
from scdnet.results.record import Baseline, EncoderRecord


class Inputs(NamedTuple):
    """An encoder, and the sequences on which it is evaluated."""

    encoder: nn.Module
    record: EncoderRecord
    store: StoreTable
    # Reads the frames when it is first called.
    load_clips: Callable[[], Clips]
    # As `extraction_settings` returns them.
    settings: dict[str, Any]

    def extract(self) -> FeatureTable:
        """Extract the features of all sequences; several ranks share the work."""
        clips = self.load_clips()
        return extract_table(self.encoder, self.record, clips, self.store, self.settings)


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
        encoder, record = load_encoder_or_baseline(source, config)
        yield Inputs(encoder, record, store, load_clips, settings)
