import re
from dataclasses import asdict
from typing import Any

import pytest
import yaml

from scdnet.config import Config
from scdnet.results.model_card import CardFacts, name_stores, write_card
from scdnet.results.record import Result
from scdnet.skeletons import NTU_25, SKELETONS
from tests.results.records import make_record


def make_facts(**changes: Any) -> CardFacts:
    facts = CardFacts(
        title="walk",
        license="Apache-2.0",
        config=Config(runs_dir="/home/me/runs", data={"store": "/home/me/a.h5", "num_bodies": 1}),
        skeleton=NTU_25,
        pretraining={
            "data": ["a"],
            "benchmark": ["xsub"],
            "store_sha256": [64 * "0"],
            "objective": "scd",
            "seed": 3,
            "epoch": 20,
        },
        num_weights=1_500_000,
        num_components=0,
        num_features=512,
        scdnet_version="1.2.3",
        results=(),
        notes=(),
        class_names=(),
    )
    return facts._replace(**changes)


def front_matter(card: str) -> dict:
    found = re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("My: own\nterms", {"license": "other", "license_name": "My: own\nterms"}),
        (None, {}),
    ],
)
def test_the_front_matter_states_the_license_as_the_hub_knows_it(name: str | None, expected: dict):
    found = front_matter(write_card(make_facts(license=name)))
    assert {key: found[key] for key in found if key.startswith("license")} == expected
    assert found["library_name"] == "scdnet"


def test_a_card_says_whose_classes_were_used():
    assert "without labels" in write_card(make_facts())
    data = {"store": ["x.h5", "y.h5"], "benchmark": "xsub", "positives": ["class", "sequence"]}
    card = write_card(make_facts(config=Config(data=data)))
    assert "with the classes of `x`, and otherwise without labels" in card


def test_a_card_without_a_license_says_so():
    assert "Not stated: ask" in write_card(make_facts(license=None))


def test_a_card_states_data_recipe_and_limits():
    card = write_card(make_facts())
    for words in (
        "`a`, training split of `xsub`",
        "seed 3, 20 completed epochs",
        "1.50 million weights. Stream",
        "512 features",
        "data.num_bodies: 1\n",
        "the joints of `ntu25` and no others",
        "It has seen `a` and nothing else",
    ):
        assert words in card
    assert "/home/me" not in card
    assert [line for line in card.splitlines() if line.startswith("## ")] == [
        f"## {name}" for name in ("How to load", "Data", "License", "Recipe", "Scores", "Limits")
    ]


def test_a_card_counts_components_beside_the_weights():
    card = write_card(make_facts(num_components=960))
    assert "it has 1.50 million weights, and 960 principal components beside them. " in card


def test_scores_stand_beside_those_of_the_baselines():
    results = [
        Result(**dict(make_record(**keys)), metric="knn@1", value=value)
        for keys, value in (({}, 71.25), ({"baseline": "raw-pca", "checkpoint_sha256": None}, 60.5))
    ]
    card = write_card(make_facts(results=results))
    assert re.search(r"\| raw-pca +\|.* 60\.5 \|", card)
    assert re.search(r"71\.[23] \|", card)


def test_baselines_alone_are_no_scores():
    result = Result(**dict(make_record(baseline="raw")), metric="knn@1", value=60)
    assert "Not evaluated yet" in write_card(make_facts(results=[result]))


def test_the_classes_of_a_head_are_listed():
    card = write_card(make_facts(class_names=["sit", "get\nup"]))
    assert "The linear head knows 2 classes: sit, get up." in card
    assert "probabilities" in card


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_the_card_reads_recordings_with_the_joints_of_the_encoder(skeleton):
    card = write_card(make_facts(skeleton=skeleton))
    assert f'layout="{skeleton.name}"' in card
    assert f'unit="{"m" if skeleton.dims == 3 else "px"}"' in card


def test_a_skeleton_of_ones_own_is_read_from_its_file():
    own = type(NTU_25)(**{**vars(NTU_25), "name": "mine"})
    assert asdict(own)["name"] in write_card(make_facts(skeleton=own))
    assert 'skeleton="joints.yaml"' in write_card(make_facts(skeleton=own))


def test_stores_are_named_without_their_directories():
    config = Config(data={"store": ["/home/me/a.h5", "/home/me/b.h5"]})
    assert name_stores(config) == ["a", "b"]
