import numpy as np
import pytest
import torch

from scdnet.errors import ScdnetError
from scdnet.eval.features import Features
from scdnet.eval.logistic import fit_logistic, fit_probe, logistic_scores, to_linear
from tests.eval.points import synthetic


def test_the_logistic_probe_gives_log_probabilities_and_never_predicts_a_class_it_has_not_seen():
    train = synthetic(90, seed=0)
    test = synthetic(60, seed=1)
    even_train = Features(train.x, 2 * train.y)
    scores = logistic_scores(even_train, Features(test.x, 2 * test.y), num_classes=6, seed=0)
    np.testing.assert_allclose(scores.exp().sum(dim=1), 1, atol=1e-5)
    assert (scores[:, 1::2] < -1e3).all()
    assert (scores.argmax(dim=1) == 2 * test.y).double().mean() > 0.9


def test_the_strength_of_the_logistic_probe_is_chosen_without_the_test_split():
    train = synthetic(90, seed=0)
    test = synthetic(60, seed=1)
    scores = logistic_scores(train, test, num_classes=3, seed=0)
    shuffled = Features(test.x, test.y.flip(0))
    assert torch.equal(scores, logistic_scores(train, shuffled, num_classes=3, seed=0))


def test_classes_of_a_single_sequence_are_no_trouble_to_the_logistic_probe():
    train = synthetic(20, seed=0)
    train = Features(torch.cat([train.x, train.x[:1] + 5]), torch.cat([train.y, torch.tensor([3])]))
    assert logistic_scores(train, train, num_classes=4, seed=0).shape == (21, 4)


def test_a_single_class_left_to_fit_is_an_error():
    train = Features(torch.randn(4, 8), torch.tensor([0, 0, 0, 1]))
    message = "4 training sequences are too few to hold some out; set linear.probe=sgd"
    # This seed holds out the only sequence of class 1.
    with pytest.raises(ScdnetError, match=message):
        logistic_scores(train, train, num_classes=2, seed=1)
    with pytest.raises(ScdnetError, match=message):
        logistic_scores(Features(train.x, 0 * train.y), train, num_classes=2, seed=0)
    with pytest.raises(ScdnetError, match="1 training sequences are too few"):
        logistic_scores(Features(train.x[:1], train.y[:1]), train, num_classes=2, seed=0)


def test_the_fit_weighs_the_log_loss_of_standardized_features_against_the_squared_weights():
    train = synthetic(90, seed=0)
    strength = 0.3
    # The scale and the origin of the features do not matter.
    model = fit_logistic(5 * train.x.numpy() + 2, train.y.numpy(), strength)
    z = (train.x - train.x.mean(dim=0)) / train.x.std(dim=0, correction=0)
    weights = torch.from_numpy(model[-1].coef_).float()  # (3, 8)
    logits = z @ weights.T + torch.from_numpy(model[-1].intercept_).float()
    errors = logits.softmax(dim=1) - torch.eye(3)[train.y]
    # This is the gradient of strength * summed log loss + |weights|^2 / 2.
    gradient = strength * errors.T @ z + weights
    assert gradient.abs().max() < 0.02 < 0.3 < weights.abs().max()


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_linear_layer_does_what_a_fitted_regression_does(num_classes: int):
    train = synthetic(90, seed=0)
    train = Features(3 * train.x + 5, train.y % num_classes)
    model = fit_probe(train, seed=0)
    weight, bias = to_linear(model)
    assert weight.shape == (num_classes, train.x.shape[1])
    found = torch.softmax(train.x @ weight.T + bias, dim=1)
    np.testing.assert_allclose(found, model.predict_proba(train.x.numpy()), atol=1e-5)
