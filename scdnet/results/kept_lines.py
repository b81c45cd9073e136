"""The lines of a file of kept runs: what identifies a run, and what it has measured.

Source: docs/sweeps.md.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_serializer,
)

from scdnet.errors import ScdnetError
from scdnet.results.record import RAW_PCA, EvaluationRecord, Key, Result


class KeptEvaluation(EvaluationRecord):
    """One evaluation with all its metrics; it states nothing of the machine."""

    # Percent, by metric.
    metrics: Annotated[dict[str, float], Key("info")]

    def results(self) -> list[Result]:
        """Return a result for each metric."""
        values = dict(self)
        metrics = values.pop("metrics")
        return [Result(**values, metric=metric, value=value) for metric, value in metrics.items()]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class KeptBaseline(_Line):
    """The line of an evaluation of a baseline, which belongs to all runs that name its id."""

    kind: Literal["baseline"] = "baseline"
    id: str
    evaluation: KeptEvaluation

    @field_serializer("evaluation")
    def _dump_evaluation(self, evaluation: KeptEvaluation) -> dict[str, Any]:
        return evaluation.dump()


class KeptRun(_Line):
    """The line of a run: what identifies it, and what it has measured."""

    kind: Literal["run"] = "run"
    # Values by dotted key.
    config: dict[str, Any]
    # The hash of the content of each store, by its name.
    stores: dict[str, str]
    # The hash of the weights that it has started from; empty: random ones.
    init_sha256: str = ""
    train_cpu_seconds: float | None
    # The ids of evaluations of baselines.
    baselines: tuple[str, ...]
    evaluations: tuple[KeptEvaluation, ...]

    @field_serializer("evaluations")
    def _dump_evaluations(self, evaluations: Sequence[KeptEvaluation]) -> list[dict[str, Any]]:
        return [evaluation.dump() for evaluation in evaluations]


LINE: TypeAdapter[KeptBaseline | KeptRun] = TypeAdapter(
    Annotated[KeptBaseline | KeptRun, Field(discriminator="kind")]
)


def parse_line(text: bytes, where: str) -> KeptBaseline | KeptRun:
    """Parse a line. Raises ScdnetError, which states `where` it is."""
    try:
        return LINE.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = f"{key}: {first['msg']}" if key else first["msg"]
        raise ScdnetError(
            f"{where}: not a line of `scdnet sweep --keep` ({what}); restore it, or delete it "
            "to run what it keeps again"
        ) from None


def current_evaluations(results: Iterable[Result], level: int) -> list[KeptEvaluation]:
    """Return the latest evaluations of a run at a level of its encoder, and of its baselines.

    An earlier checkpoint, or earlier settings, have the same tag.
    """
    latest: dict[str, KeptEvaluation] = {}
    for result in results:
        has_levels = result.baseline not in ("raw", RAW_PCA)
        if has_levels and result.feature_level != level:
            continue
        known = latest.get(result.tag)
        if known is None or known.identity != result.identity:
            known = latest[result.tag] = _start_evaluation(result)
        known.metrics[result.metric] = result.value
    return list(latest.values())


def _start_evaluation(result: Result) -> KeptEvaluation:
    """Return an evaluation without metrics, and without paths of this machine."""
    values = dict(result) | {"config": None, "metrics": {}}
    del values["metric"], values["value"]
    if result.checkpoint is not None:
        # Tables name checkpoints with equal seeds by the end of their paths.
        values["checkpoint"] = "/".join(Path(result.checkpoint).parts[-2:])
    return KeptEvaluation(**values)
