import math

import pytest
import torch
from torch.nn import functional as F

from scdnet.losses import CROSS_DOMAIN_PAIRS, chance_loss, contrast_losses, info_nce


def test_info_nce_of_indistinguishable_keys_is_log_of_candidate_count():
    one = F.normalize(torch.ones(2, 8), dim=1)
    loss = info_nce(one, one, one[:1].expand(7, 8), temperature=0.07)
    # 1 positive and 7 negatives, all equal.
    assert loss.item() == pytest.approx(math.log(1 + 7), abs=1e-5)
    assert chance_loss(4, 7) == pytest.approx(4 * loss.item(), abs=1e-4)


def test_info_nce_worked_out_by_hand():
    query = torch.tensor([[1.0, 0.0]])
    # The cosines are 1, 0 and -1, and the temperature divides them by 0.5.
    negatives = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(0) + math.exp(-2)))
    loss = info_nce(query, query, negatives, temperature=0.5)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_the_nearest_keys_of_a_queue_are_positives_too():
    query = torch.tensor([[1.0, 0.0]])
    # The nearest to the positive, not to the query, is the second of the queue.
    positive = torch.tensor([[0.0, 1.0]])
    negatives = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]])
    # The cosines of the query with the positive and the queue.
    weights = [math.exp(cosine / 0.5) for cosine in (0, 1, 0.6, 0)]
    chances = [weight / sum(weights) for weight in weights]
    loss = info_nce(query, positive, negatives, 0.5, num_neighbors=1)
    assert loss.item() == pytest.approx(-(math.log(chances[0]) + math.log(chances[2])) / 2)
    loss = info_nce(query, positive, negatives, 0.5, num_neighbors=3)
    assert loss.item() == pytest.approx(-sum(map(math.log, chances)) / 4)
    # Where nothing is told apart, it is at the level of chance with any number of them.
    one = F.normalize(torch.ones(2, 8), dim=1)
    loss = info_nce(one, one, one[:1].expand(7, 8), 0.07, num_neighbors=3)
    assert loss.item() == pytest.approx(chance_loss(1, 7), abs=1e-5)


def test_every_term_contrasts_a_path_with_the_anchor_or_back():
    assert set(CROSS_DOMAIN_PAIRS) == {
        ("temporal", "instance"),
        ("spatial", "instance"),
        ("instance", "temporal"),
        ("instance", "spatial"),
    }


DOMAINS = ("temporal", "spatial", "instance")


def test_losses_take_queries_keys_and_queues_of_the_named_domains():
    e = torch.eye(3)
    query = dict(zip(DOMAINS, (e[[0]], e[[1]], e[[2]]), strict=True))
    # Two keys equal a query: that of instance the temporal one, that of spatial the instance one.
    key = dict(zip(DOMAINS, (e[[1]], e[[2]], e[[0]]), strict=True))
    negatives = dict.fromkeys(DOMAINS, torch.zeros(1, 3))
    # There is one negative, of cosine 0.
    matched = math.log(1 + math.exp(-1))
    apart = math.log(2)
    # The pairs are t->i, s->i, i->t, i->s.
    expected = [matched, apart, apart, matched]
    losses = contrast_losses(CROSS_DOMAIN_PAIRS, query, key, negatives, temperature=1.0)
    assert losses.tolist() == pytest.approx(expected, abs=1e-6)
