"""Numbers from the literature, and beside which of ours they are shown."""

import pytest

from scdnet.results.published import OWN, add_published, read_published
from scdnet.results.record import Row
from scdnet.results.summary import Statistic

LINEAR = Row("ntu60", "xsub", 16487, "linear", "joint", "trained on ntu60", 451)
OURS = {LINEAR: {"top1": Statistic(85.0, None, 1), "top5": Statistic(97.0, None, 1)}}


def beside(rows, **options) -> dict[str, dict[str, float]]:
    """Return the published values by method."""
    added = add_published(rows, lambda row: True, **options)
    return {
        row.encoder: {m: s.mean for m, s in of.items()} for row, of in added.items() if row.source
    }


def test_no_number_is_there_twice_and_all_are_percent():
    numbers = read_published()
    assert len({tuple(number.values())[:6] for number in numbers}) == len(numbers) > 0
    assert all(20 < float(number["value"]) < 100 and number["source"] for number in numbers)
    assert {number["dataset"] for number in numbers} == {"ntu60", "ntu120", "pku1", "pku2"}
    assert {number["stream"] for number in numbers} == {"joint"}


@pytest.mark.parametrize(
    ("protocol", "metric", "values"),
    [
        (
            "linear",
            "top1",
            {
                ("ntu60", "xsub"): 86.6,
                ("ntu60", "xview"): 91.7,
                ("ntu120", "xsub"): 76.9,
                ("ntu120", "xset"): 80.1,
                ("pku1", "xsub"): 91.9,
                ("pku2", "xsub"): 54.0,
            },
        ),
        (
            "knn",
            "knn@1",
            {
                ("ntu60", "xsub"): 76.2,
                ("ntu60", "xview"): 86.8,
                ("ntu120", "xsub"): 59.8,
                ("ntu120", "xset"): 65.7,
            },
        ),
    ],
)
def test_scd_net_s_numbers_are_those_of_its_paper(protocol: str, metric: str, values: dict):
    wanted = {"method": OWN, "protocol": protocol, "metric": metric}
    own = [number for number in read_published() if number.items() >= wanted.items()]
    assert {(n["dataset"], n["benchmark"]): float(n["value"]) for n in own} == values


def test_scd_net_stands_beside_ours_and_directly_below():
    added = add_published(OURS, lambda row: True)
    assert [row.encoder for row in added] == ["trained on ntu60", "SCD-Net", "SCD-Net log"]
    assert beside(OURS) == {"SCD-Net": {"top1": 86.6}, "SCD-Net log": {"top1": 86.456}}
    assert added[LINEAR] == OURS[LINEAR]


def test_only_metrics_that_ours_has_are_shown():
    best = {LINEAR: {**OURS[LINEAR], "top1_best_on_test": Statistic(86.0, None, 1)}}
    assert beside(best)["SCD-Net log"] == {"top1": 86.456, "top1_best_on_test": 86.571}


def test_other_methods_on_request():
    methods = beside(OURS, all_methods=True)
    assert methods["MAMP"] == {"top1": 84.9} and {"SCD-Net", "SLiM", "STARS"} < set(methods)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "demo"},
        {"benchmark": "xset"},
        {"stream": "bone"},
        {"stream": "joint+bone+motion"},
        {"protocol": "linear (logistic)"},
        {"protocol": "knn (gallery ntu120)"},
        {"protocol": "fusion (linear)"},
        {"protocol": "semi 2 %"},
    ],
)
def test_nothing_stands_beside_what_is_not_the_same(change: dict):
    assert beside({LINEAR._replace(**change): OURS[LINEAR]}, all_methods=True) == {}


def test_a_share_of_the_labels_stands_beside_the_same_share_only():
    methods = beside({LINEAR._replace(protocol="semi 10 %"): OURS[LINEAR]}, all_methods=True)
    assert methods == {"MAMP": {"top1": 88.0}, "GFP": {"top1": 88.7}}


def test_nothing_stands_beside_what_is_not_comparable():
    assert add_published(OURS, lambda row: row.num_test != 16487, all_methods=True) == OURS
