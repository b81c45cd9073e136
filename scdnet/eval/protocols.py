"""The evaluation protocols: each computes, records its numbers in results.jsonl and keeps its scores."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.engine.logs import say
from scdnet.engine.runtime import derive_seed, resolve_device, set_precision
from scdnet.errors import ScdnetError
from scdnet.eval.classification import (
    Scores,
    confusion_matrix,
    read_scores,
    topk_metrics,
    write_confusion,
    write_scores,
)
from scdnet.eval.feature_table import FeatureTable, gallery_across
from scdnet.eval.features import RAW, Source, load_all_clips, load_source, made_with
from scdnet.eval.finetune import draw_labelled, finetune
from scdnet.eval.knn import retrieve
from scdnet.eval.linear import linear_probe
from scdnet.eval.results import Evaluation, append_results, describe_evaluation, identity, recorded
from scdnet.files import file_sha256, written_aside

Compute = Callable[[], tuple[dict[str, float], Tensor]]  # metrics and scores (n, classes)
BEST = "top1_best_on_test"  # metric: of the best epoch, which the test split has chosen; stands beside that of the last


class Evaluator:
    """Runs protocols for one config; `typed` is how the user named it. Results go to the folder of the run."""

    def __init__(self, config: Config, typed: str, *, skip: bool = False) -> None:
        self.config, self.typed = config, typed
        self.skip = skip  # what the folder has already
        self.device = resolve_device(config.device)

    def knn(self, table: FeatureTable, other: FeatureTable | None = None) -> dict[str, float]:
        """kNN retrieval: test split against training split, or against all sequences of another data set."""
        rows = table.rows(self.config.data.benchmark, train=False)
        if other is None:
            gallery, more = table.features(table.rows(self.config.data.benchmark, train=True)), {}
        else:
            gallery, rows = gallery_across(other, table, rows)
            more = {"gallery": Path(other.store).stem, "gallery_sha256": other.store_sha256}

        def compute() -> tuple[dict[str, float], Tensor]:
            num_classes = len(table.class_names)
            return retrieve(gallery, table.features(rows), num_classes=num_classes, device=self.device)

        tag = f"knn_from_{more['gallery']}" if more else "knn"
        return self._run_on_features("knn", tag, table, rows, compute, **more)

    def linear(self, table: FeatureTable) -> dict[str, float]:
        """The linear probe on the frozen features."""
        train, test = (table.rows(self.config.data.benchmark, train=train) for train in (True, False))

        def compute() -> tuple[dict[str, float], Tensor]:
            probe = linear_probe(
                table.features(train),
                table.features(test),
                self.config.linear,
                num_classes=len(table.class_names),
                seed=self.config.seed,
                device=self.device,
            )
            best = {} if probe.best_top1 is None else {BEST: probe.best_top1}
            return topk_metrics(probe.scores, table.label[test]) | best, probe.scores

        probe = self.config.linear.probe
        tag = "linear" if probe == "sgd" else f"linear_{probe}"
        more = {"probe": probe, "eval_seed": self.config.seed}
        return self._run_on_features("linear", tag, table, test, compute, **more)

    def finetune(self, checkpoint: str, *, label_fraction: float) -> dict[str, dict[str, float]]:
        """Fine-tuning with all labels, or `finetune.draws` times with a share of them; metrics by protocol and draw."""
        if checkpoint == RAW:
            raise ScdnetError("--checkpoint raw has no weights to fine-tune; give a checkpoint, or none")
        num_draws = self.config.finetune.draws if label_fraction < 1 else 1
        rows = [self._finetune_once(checkpoint, label_fraction, draw) for draw in range(num_draws)]
        return dict(rows)

    def _finetune_once(self, checkpoint: str, fraction: float, draw: int) -> tuple[str, dict[str, float]]:
        encoder, source = load_source(checkpoint, self.config)
        clips, seed = self.clips, derive_seed(self.config.seed, draw)
        train, test = clips.split(train=True), clips.split(train=False)
        if fraction < 1:
            protocol, tag = "semi", f"semi_{fraction:g}_draw{draw}"
            more = {"label_fraction": fraction, "draw": draw}
            labelled = train[draw_labelled(clips.label[train], fraction, seed)]
        else:
            protocol = tag = "finetune" if source.pretrained_on in (None, self.config.data.store.stem) else "transfer"
            more, labelled = {}, train
        more |= {"eval_seed": self.config.seed, "store_sha256": self._store_sha256}
        about = self._about(protocol, clips.dataset, source, num_test=len(test), **more)
        tag = _tag_of(tag, source)
        metrics = self._recorded(tag, about)
        if not metrics:
            self._write_names(f"labelled_{tag}.txt", clips, labelled)
            result = finetune(encoder, clips, labelled, self.config, seed=seed)
            metrics = topk_metrics(result.scores, clips.label[test]) | {BEST: result.best_top1}
            self._keep(tag, clips, test, result.scores, about, metrics)
        return tag, metrics

    @cached_property
    def clips(self) -> Clips:
        """The sequences of the store, loaded when they are first needed."""
        return load_all_clips(self.config)

    @cached_property
    def _store_sha256(self) -> str:
        return file_sha256(self.config.data.store)

    def _run_on_features(
        self, protocol: str, tag: str, table: FeatureTable, rows: Tensor, compute: Compute, **more: object
    ) -> dict[str, float]:
        """Metrics and scores of the test sequences `rows`, unless they are recorded already."""
        more |= {"store_sha256": table.store_sha256}
        about = self._about(protocol, table.dataset, table.source, num_test=len(rows), **more)
        tag = _tag_of(tag, table.source)
        metrics = self._recorded(tag, about)
        if not metrics:
            set_precision("fp32", self.device)  # fine-tuning before it may have left another
            metrics, scores = compute()
            self._keep(tag, table, rows, scores, about, metrics)
        return metrics

    def _about(self, protocol: str, dataset: str, source: Source, **more: object) -> dict[str, Any]:
        more["settings"] = settings_of(protocol, self.config)
        return describe_evaluation(
            self.config, protocol=protocol, dataset=dataset, source=source, typed=self.typed, **more
        )

    def _recorded(self, tag: str, about: Evaluation) -> dict[str, float]:
        """The metrics of this evaluation if the folder has them and, written after them, its scores; else none."""
        metrics = recorded(self.config.run_dir, about) if self.skip and self._has_scores(tag, about) else {}
        if metrics:
            say(f"{tag}: in {self.config.run_dir} already, not computed again")
        return metrics

    def _keep(
        self,
        tag: str,
        of: FeatureTable | Clips,
        rows: Tensor,
        scores: Tensor,
        about: Evaluation,
        metrics: Mapping[str, float],
    ) -> None:
        """Record the metrics, write the confusion matrix and, last, the scores (n, classes) of the `rows` (n,)."""
        label, folder = of.label[rows], self.config.run_dir
        append_results(folder, about, metrics)
        write_confusion(folder / f"confusion_{tag}.tsv", confusion_matrix(scores, label), of.class_names)
        known = (self.config.data.benchmark, of.class_names, of.dataset, of.stream, about)
        write_scores(self._scores_file(tag), Scores(scores.numpy(), of.name[rows], label.numpy(), *known))

    def _has_scores(self, tag: str, about: Evaluation) -> bool:
        try:
            return identity(read_scores(self._scores_file(tag)).evaluation) == identity(about)
        except ScdnetError:  # not there, or damaged: to be made again
            return False

    def _scores_file(self, tag: str) -> Path:
        return self.config.run_dir / f"scores_{tag}.npz"

    def _write_names(self, file: str, clips: Clips, index: Tensor) -> None:
        with written_aside(self.config.run_dir / file) as partial:
            partial.write_text("".join(f"{name}\n" for name in clips.name[index.numpy()]), encoding="utf-8")


def settings_of(protocol: str, config: Config) -> str:
    """A hash of the values of `config` that the numbers of a protocol depend on and that have no key of their own."""
    values = made_with(config)
    if protocol == "linear":
        values["linear"] = config.linear.model_dump(mode="json")
    elif protocol != "knn":
        values["finetune"] = config.finetune.model_dump(mode="json", exclude={"label_fraction", "draws"})
        values |= {"views": config.data.views.model_dump(mode="json"), "dropout": config.model.dropout}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _tag_of(protocol: str, source: Source) -> str:
    """What the files of an evaluation are called; those of a control never take the place of an encoder's."""
    return f"{protocol}_{source.checkpoint}" if source.sha256 is None else protocol
