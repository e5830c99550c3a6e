"""What replacements and probes are measured by."""

import numpy as np
import pytest
import torch

from dfd.decoder.base import Decoder
from dfd.measures.estimates import People
from dfd.recognizers.base import Recognizer
from dfd.studies.disentangling.effects import (
    Probe,
    balanced,
    balanced_accuracy,
    cosine_metrics,
    gender_metrics,
    measure,
    pick_faces,
    probe_metrics,
)
from dfd.studies.disentangling.pfrnet import PFRNet, modified


def people(identities, samples: int = 100) -> People:
    return People(identities, samples, 0)


def test_balanced_accuracy_in_closed_form():
    male = np.array([True] * 8 + [False] * 2)
    assert balanced_accuracy(np.ones(10, bool), male) == 0.5
    assert balanced_accuracy(male, male) == 1 and balanced_accuracy(~male, male) == 0
    guessed = np.array([True] * 6 + [False] * 2 + [True, False])
    assert balanced_accuracy(guessed, male) == pytest.approx((6 / 8 + 1 / 2) / 2)


def test_its_interval_holds_it_and_narrows_with_more_people():
    generator, widths = np.random.default_rng(0), []
    for count in (60, 600):
        male = np.arange(count) % 3 > 0
        guessed = male ^ (generator.random(count) < 0.3)
        found = balanced(guessed, male, people(np.arange(count), 500))
        assert found.low < found.value == balanced_accuracy(guessed, male) < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2
    # Independent faces: the variance of a mean of two rates
    error = 0.5 * np.sqrt(0.21 / 400 + 0.21 / 200)
    assert widths[1] == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_faces_of_one_person_do_not_count_as_many():
    male, guessed = np.arange(40) % 2 > 0, np.arange(40) % 4 > 1
    few, alone = (balanced(guessed, male, people(codes, 500)) for codes in (np.arange(40) % 4, np.arange(40)))
    assert few.high - few.low > alone.high - alone.low
    one = balanced(guessed, male, people(np.where(male, 0, np.arange(40))))
    assert one.low is None and one.left_out


def test_a_probe_finds_a_linear_trace_and_none_in_noise():
    generator = torch.Generator().manual_seed(0)
    male = torch.rand(900, generator=generator) < 0.8
    noise = torch.randn(900, 10, generator=generator) * 1e-3
    trace = noise + male[:, None] * 4e-3
    for features, low, high in ((trace, 0.97, 1), (noise, 0.4, 0.6)):
        probe = Probe(features[:600], male[:600].numpy(), features[600:700], male[600:700].numpy())
        assert low <= balanced_accuracy(probe.predict(features[700:]), male[700:].numpy()) <= high


def test_probes_are_beside_chance_and_null_for_one_class():
    male, guessed = np.array([True] * 6 + [False] * 4), np.array([True] * 10)
    found = probe_metrics({"identity": guessed}, male, people(np.arange(10)))
    assert found["chance"] == {"balanced_accuracy": 0.5, "accuracy": 0.6}
    assert found["identity"]["accuracy"]["mean"] == 0.6 and found["identity"]["balanced_accuracy"]["value"] == 0.5
    alone = probe_metrics({"identity": guessed}, np.ones(10, bool), people(np.arange(10)))
    assert alone["identity"] is None and "one label" in alone["probe_note"]


def test_flips_are_counted_against_the_unmodified():
    before = np.array([0.9, 0.8, 0.6, 0.2])
    found = gender_metrics(
        {"unmodified": before, "attribute-female": np.array([0.1, 0.7, 0.5, 0.1])}, people(np.arange(4), 200)
    )
    changed = found["attribute-female"]
    assert changed["flipped"]["mean"] == 0.5 and (changed["flipped"]["count"], changed["flipped"]["n"]) == (2, 4)
    assert changed["to_female"]["mean"] == pytest.approx(2 / 3) and changed["to_female"]["n"] == 3
    assert changed["to_male"]["mean"] == 0 and changed["to_male"]["n"] == 1
    assert changed["p_male"]["mean"] == pytest.approx(0.35) and found["unmodified"]["p_male"]["mean"] == pytest.approx(
        0.625
    )
    assert "flipped" not in found["unmodified"]
    none = gender_metrics({"unmodified": before[:3], "x": before[:3]}, people(np.arange(3), 200))["x"]["to_male"]
    assert none["mean"] is None and none["n"] == 0 and none["rate_note"]


def test_whose_mean_replaces_a_part_is_a_paired_difference():
    women, men = np.array([0.2, 0.4, 0.9]), np.array([0.3, 0.6, 0.9])
    found = gender_metrics(
        {"unmodified": women, "identity-female": women, "identity-male": men, "attribute-male": men},
        people(np.arange(3), 500),
    )
    difference = found["identity-male"]["p_male"]["minus_identity-female"]
    assert difference["mean"] == pytest.approx(0.1) and (
        difference["ci95_low"],
        difference["ci95_high"],
    ) == pytest.approx((0, 0.2))
    assert "minus_attribute-female" not in found["attribute-male"]["p_male"]  # which is not there
    assert (
        set(found["attribute-male"]["p_male"])
        == set(found["identity-female"]["p_male"])
        == {"mean", "ci95_low", "ci95_high"}
    )


class Colours(Recognizer):
    """A recognizer whose templates are mean colours."""

    def __init__(self, embeds_images: bool = True):
        super().__init__(8, "colour", "colour", (0.0, 0.0, 0.0), 1 / 255, window="box")
        self.embeds_images = embeds_images

    def _layers(self, x):
        assert self.embeds_images
        yield "colour", x.mean((2, 3))


class Painter(Decoder):
    """A decoder: the first three numbers are a colour."""

    def __init__(self, dimension: int = 3):
        super().__init__(dimension, 8)

    def forward(self, templates):
        return templates[:, :3, None, None].expand(-1, -1, 8, 8)


def test_the_cosine_and_its_change():
    red, grey = torch.tensor([[1.0, 0, 0]]).repeat(5, 1), torch.ones(5, 3)
    images = {"unmodified": Painter()(red), "attribute-male": Painter()(grey)}
    found = cosine_metrics(images, Colours(), red, people(np.arange(5)))
    assert found["unmodified"]["mean"] == pytest.approx(1) and "change" not in found["unmodified"]
    assert found["attribute-male"]["mean"] == pytest.approx(3**-0.5)
    assert found["attribute-male"]["change"]["mean"] == pytest.approx(3**-0.5 - 1)
    left_out = cosine_metrics(images, Colours(embeds_images=False), red, people(np.arange(5)))
    assert left_out["unmodified"] is None and left_out["attribute-male"] is None and left_out["cosine_note"]


def test_a_data_set_is_measured_with_and_without_a_decoder():
    generator = torch.Generator().manual_seed(0)
    templates, male = torch.rand(40, 8, generator=generator), np.arange(40) % 2 > 0
    net = PFRNet(8, 8, 2, 4).eval().requires_grad_(False)
    net.set_statistics(templates)
    net.set_means(templates, torch.from_numpy(male))

    class Guess:
        def predict(self, features):
            return np.zeros(len(features), bool)

    def redness(images):
        return images[:, 0].mean((1, 2)).numpy()

    probes = dict.fromkeys(("whole", "identity", "attribute"), Guess())
    judges = {"own": Colours(False), "other": Colours()}
    stores = {"own": templates, "other": templates[:, :3]}
    arguments = (redness, judges, stores, male, people(np.arange(40)), 10)
    found = measure(net, probes, Painter(8), *arguments)
    assert set(found["gender"]) == set(modified(net, templates)) == set(found["cosine"]["other"])
    assert found["cosine"]["other"]["unmodified"]["n"] == 10 and found["cosine"]["own"]["unmodified"] is None
    kept = found["cosine"]["other"]
    for name, other in (("identity-both", "attribute-both"), ("identity-male", "identity-female")):
        assert kept[name][f"minus_{other}"]["mean"] == pytest.approx(kept[name]["mean"] - kept[other]["mean"], abs=1e-6)
    assert (found["n_faces"], found["n_male"], found["n_female"]) == (40, 20, 20)
    kept = torch.cosine_similarity(net(templates), templates).mean().item()
    assert found["template_cosine"]["mean"] == pytest.approx(kept, rel=1e-4)
    assert "gender" not in measure(net, probes, None, *arguments)


def test_picked_are_people_of_both_classes_women_first():
    male, people = np.array([True, True, False, False, True, False]), np.array(list("aabbcd"))
    assert pick_faces(male, people, 2).tolist() == [2, 5, 0, 4]
    assert pick_faces(male, people, 1).tolist() == [2, 0]
    assert pick_faces(np.ones(6, bool), people, 2).tolist() == [0, 5]
