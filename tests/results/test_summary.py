"""Which evaluations share a row, and what a row contains."""

import statistics

import pytest

from scdnet.results.record import Result, Row
from scdnet.results.summary import Statistic, average, sort_rows, summarize
from tests.results.records import RANDOM_INIT, RAW, make_result

LINEAR = Row("ntu60", "xsub", 16, "linear", "joint", "trained on ntu60", 451)


def of_seed(seed: int, value: float, **changes: object) -> Result:
    about = {
        "seed": seed,
        "checkpoint": f"runs/seed{seed}/last.pt",
        "checkpoint_sha256": f"{seed:064}",
    }
    return make_result(value, **{**about, **changes})


def test_mean_and_sample_standard_deviation_over_seeds_by_hand():
    rows, num_changed = summarize([of_seed(0, 80.0), of_seed(1, 83.0), of_seed(2, 89.0)])
    assert list(rows) == [LINEAR] and num_changed == 0
    mean, std, n = rows[LINEAR]["top1"]
    assert (mean, n) == (84, 3)
    assert std == pytest.approx(((16 + 1 + 25) / 2) ** 0.5)


def test_subsets_are_repetitions_too():
    semi = {"protocol": "semi", "label_fraction": 0.01}
    records = [of_seed(s, 10 * s + d, subset=d, **semi) for s in (0, 1) for d in (0, 1, 2)]
    rows, _ = summarize(records)
    ((row, metrics),) = rows.items()
    assert row.protocol == "semi 1 %"
    values = [0, 1, 2, 10, 11, 12]
    assert metrics["top1"] == (statistics.mean(values), pytest.approx(statistics.stdev(values)), 6)


def test_one_evaluation_has_no_standard_deviation():
    rows, _ = summarize([make_result(80.0)])
    assert rows[LINEAR]["top1"] == Statistic(80, None, 1)


def test_an_evaluation_that_is_recorded_twice_counts_once():
    rows, num_changed = summarize([of_seed(0, 80.0), of_seed(1, 90.0), of_seed(0, 80.0)])
    assert rows[LINEAR]["top1"][0] == 85 and rows[LINEAR]["top1"].n == 2 and num_changed == 0


def test_the_last_value_of_an_evaluation_counts_and_the_replaced_ones_are_counted():
    again = of_seed(
        0, 70.0, checkpoint="elsewhere/last.pt", config="configs/ntu60_xsub.yaml linear.optim.lr=1"
    )
    rows, num_changed = summarize([of_seed(0, 80.0), of_seed(1, 90.0), again])
    assert rows[LINEAR]["top1"][0] == 80 and rows[LINEAR]["top1"].n == 2 and num_changed == 1


def test_checkpoints_of_one_seed_are_never_averaged():
    other = of_seed(0, 60.0, checkpoint="/any/runs/other/last.pt", checkpoint_sha256="b" * 64)
    rows, _ = summarize([of_seed(0, 80.0), other])
    assert {row.encoder: metrics["top1"].mean for row, metrics in rows.items()} == {
        "seed0/last.pt 0000000": 80,
        "other/last.pt bbbbbbb": 60,
    }


def test_checkpoints_of_one_seed_are_told_apart_whatever_the_seed_of_the_evaluation():
    other = of_seed(
        0, 60.0, checkpoint="runs/other/last.pt", checkpoint_sha256="b" * 64, eval_seed=1
    )
    rows, _ = summarize([of_seed(0, 80.0, eval_seed=0), other])
    assert sorted(metrics["top1"].mean for metrics in rows.values()) == [60, 80]


@pytest.mark.parametrize(
    ("key", "shown"),
    [("settings", "settings"), ("store_sha256", "store"), ("gallery_sha256", "gallery")],
)
def test_other_settings_and_stores_are_other_rows_named_by_their_hash(key: str, shown: str):
    rows, _ = summarize(
        [of_seed(0, 80.0, **{key: "a" * 64}), of_seed(1, 40.0, **{key: "b" * 64}), of_seed(2, 90.0)]
    )
    found = {row.encoder: metrics["top1"].mean for row, metrics in rows.items()}
    base = f"trained on ntu60, {shown}"
    third = "5555555" if key == "store_sha256" else "unknown"
    assert found == {f"{base} aaaaaaa": 80, f"{base} bbbbbbb": 40, f"{base} {third}": 90}


def test_one_display_name_of_two_pretrainings_is_two_rows():
    rows, _ = summarize(
        [
            of_seed(0, 90.0, display_name="HDC"),
            of_seed(1, 50.0, display_name="HDC", pretrained_on="demo"),
        ]
    )
    assert {row.encoder for row in rows} == {"HDC, pretrained_on ntu60", "HDC, pretrained_on demo"}


def test_checkpoints_of_one_seed_in_two_settings_are_four_rows():
    of = [
        of_seed(0, 10.0 * i, checkpoint_sha256=str(i % 2) * 64, settings=str(i // 2) * 12)
        for i in range(4)
    ]
    assert sorted(metrics["top1"].mean for metrics in summarize(of)[0].values()) == [0, 10, 20, 30]


def test_baselines_of_several_seeds_are_one_row_each():
    results = [
        make_result(1.0, **RANDOM_INIT),
        make_result(3.0, **RANDOM_INIT, seed=1),
        make_result(5.0, **RAW),
    ]
    rows, _ = summarize(results)
    found = {
        (row.encoder, row.epochs): (metrics["top1"].mean, metrics["top1"].n)
        for row, metrics in rows.items()
    }
    assert found == {("raw views", None): (5, 1), ("random init", 0): (2, 2)}


FUSION = {
    "protocol": "fusion",
    "fused": "knn",
    "checkpoint_sha256": None,
    "fusion_weights": (1.0, 1.0),
    "probe": None,
}


def test_fusions_of_several_seeds_and_epochs_are_told_apart():
    first = make_result(90.0, **FUSION, checkpoint="a, b")
    second = make_result(94.0, **FUSION, seed=1, checkpoint="c, d")
    earlier = make_result(50.0, **FUSION, epoch=10, checkpoint="e, f")
    rows, _ = summarize([first, second, earlier])
    found = {
        (row.protocol, row.encoder, row.epochs): metrics["top1"][::2]
        for row, metrics in rows.items()
    }
    assert found == {
        ("fusion (knn)", "trained on ntu60", 451): (92, 2),
        ("fusion (knn)", "trained on ntu60", 10): (50, 1),
    }


def test_fusions_of_files_that_have_nothing_in_common_are_repetitions():
    unknown = {**FUSION, "seed": None, "epoch": None, "pretrained_on": None}
    rows, _ = summarize(
        [
            make_result(90.0, **unknown, checkpoint="a, b"),
            make_result(94.0, **unknown, checkpoint="c, d"),
        ]
    )
    ((row, metrics),) = rows.items()
    assert (row.protocol, row.encoder) == ("fusion (knn)", "") and metrics["top1"][::2] == (92, 2)


def test_seeds_of_the_evaluation_are_repetitions():
    rows, _ = summarize([make_result(80.0, eval_seed=0), make_result(82.0, eval_seed=1)])
    assert rows[LINEAR]["top1"][::2] == (81, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "finetune"},
        {"dataset": "ntu120"},
        {"benchmark": "xview"},
        {"num_test": 17},
        {"stream": "bone"},
        {"epoch": 100},
        {"pretrained_on": "ntu120"},
        {"probe": "logistic"},
        {"label_fraction": 0.1, "protocol": "semi"},
        {"gallery": "ntu120", "protocol": "knn"},
    ],
)
def test_what_differs_in_kind_is_another_row(change: dict):
    assert len(summarize([of_seed(0, 80.0), of_seed(1, 90.0, **change)])[0]) == 2


def test_metrics_count_the_evaluations_that_have_them():
    metrics = average([{"top1": 1.0, "top5": 4.0}, {"top1": 3.0}])
    assert metrics["top1"][::2] == (2, 2) and metrics["top5"] == Statistic(4, None, 1)


def test_rows_are_in_the_order_of_the_protocols_streams_and_baselines():
    knn = LINEAR._replace(protocol="knn")
    order = [
        # This one has all streams.
        knn._replace(stream="all", encoder="raw-pca"),
        knn._replace(encoder="raw views"),
        knn._replace(encoder="random init"),
        knn,
        knn._replace(encoder="another", source="a paper"),
        knn._replace(stream="bone", encoder="raw views"),
        knn._replace(stream="motion"),
        knn._replace(stream="all"),
        LINEAR,
        LINEAR._replace(protocol="linear (logistic)"),
        *(LINEAR._replace(protocol=f"semi {percent} %") for percent in (0.5, 1, 5, 10)),
        LINEAR._replace(protocol="fusion (knn)", stream="joint+bone"),
        knn._replace(num_test=17),
        knn._replace(benchmark="xview"),
    ]
    assert list(sort_rows({row: {} for row in reversed(order)})) == order
