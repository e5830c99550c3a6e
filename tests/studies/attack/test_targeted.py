"""Who is attacked, and what is counted: by hand, and with a recognizer whose templates are an image's mean colours."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from dfd.decoder.base import Decoder
from dfd.measures.estimates import People
from dfd.measures.verification import cosine_pairs
from dfd.recognizers.base import Recognizer
from dfd.studies.attack import targeted as attacks
from dfd.studies.attack.identification import fit_identification
from dfd.studies.attack.targeted import (
    Outcome,
    attack_identification,
    enrolled,
    in_turns,
    outcome,
    targeted_pairs,
    targeted_summary,
    targeted_table,
    why_not,
    with_most_photos,
)
from dfd.studies.attack.verification import (
    attacked_pairs,
    roc_curves,
    tar_over_epsilon,
    verification_metrics,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Who


def test_with_most_photos_takes_the_first_of_the_largest():
    identities = np.array([*"aabbbbbcccccdddd", "b"])
    assert with_most_photos(identities, 1, 9).tolist() == [2, 3, 4, 5, 6, 16]  # b has 6
    assert set(identities[with_most_photos(identities, 2, 9)]) == {"b", "c"}
    assert with_most_photos(identities, 9, 4).tolist() == [2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15]  # a has 2
    assert with_most_photos(np.array([*"aabb"]), 9, 9).tolist() == []


@pytest.mark.parametrize("share, counts", [(0.5, [2, 5, 2]), (0.01, [1, 1, 1]), (0.99, [3, 9, 4])])
def test_enrolment_shares_out_the_photos_of_each(share, counts):
    codes = rng(1).permutation(np.repeat([0, 1, 2], [4, 10, 5]))
    mask = enrolled(codes, share, rng())
    assert [int(mask[codes == code].sum()) for code in range(3)] == counts
    assert not np.array_equal(mask, enrolled(codes, share, rng(5))) or share == 0.99


def test_turns():
    codes = np.array([0, 0, 0, 1, 1, 2])
    order = in_turns(codes, rng())
    assert sorted(order) == list(range(6))
    assert set(codes[order[:3]]) == {0, 1, 2} and set(codes[order[3:5]]) == {0, 1} and codes[order[5]] == 0


def test_targeted_pairs_are_balanced_others_and_never_twice_the_same():
    codes = np.repeat(np.arange(5), 4)
    sources, targets = targeted_pairs(codes, 30, rng())
    assert len(sources) == len(targets) == 30 and (targets != codes[sources]).all()
    assert set(np.bincount(codes[sources])) == {6} and len(set(zip(sources, targets, strict=True))) == 30
    sources, targets = targeted_pairs(codes, 1000, rng())
    assert len(set(zip(sources, targets, strict=True))) == len(sources) == 20 * 4
    first = targeted_pairs(codes, 7, rng())
    assert np.array_equal(first[0], sources[:7]) and np.array_equal(first[1], targets[:7])


def test_why_not():
    module = Colours()
    assert why_not(module, 2) is None and "at least 2" in why_not(module, 1).reason
    module.gives_gradients = False
    assert "no gradients" in why_not(module, 40).reason
    module.embeds_images = False
    assert "precomputed" in why_not(module, 40).reason


# What is counted


class Colours(Recognizer):
    """Templates (N, 12): the mean colours of an image's four quarters."""

    def __init__(self, size: int = 16):
        super().__init__(size, "template", "template", (0.0, 0.0, 0.0), 1 / 255, window="box")

    def _layers(self, x):
        yield "template", F.adaptive_avg_pool2d(x, 2).flatten(1)


class Blocks(Decoder):
    """Decodes such templates to quarters of one colour: embedded again, they are the same templates."""

    def __init__(self, brightness: float = 1.0):
        super().__init__(12, 16)
        self.brightness = brightness

    def forward(self, templates):
        return F.interpolate(templates.view(-1, 3, 2, 2) * self.brightness, (16, 16), mode="nearest")


class Photos:
    """In place of a face store: 6 people of 6 photos, quarters in colours of their own, with noise."""

    def __init__(self, people: int = 6, photos: int = 6):
        generator = torch.Generator().manual_seed(0)
        self.codes = np.repeat(np.arange(people), photos)
        centres = 0.25 + 0.5 * torch.rand(people, 3, 2, 2, generator=generator)
        clean = F.interpolate(centres, (16, 16), mode="nearest")[self.codes]
        self.images = clean + 0.2 * torch.rand(clean.shape, generator=generator) - 0.1

    def identities(self, rows):
        return np.array([f"s{code}" for code in self.codes])[rows]

    def views(self, rows, size):
        return self.images[torch.as_tensor(rows)]


@pytest.fixture(scope="module")
def setting():
    """(recognizer, decoders, faces, rows, templates): two decoders, a faithful one and one that gives black faces."""
    recognizer, faces, rows = Colours(), Photos(), np.arange(36)
    with torch.no_grad():
        templates = recognizer(faces.views(rows, 16))
    return recognizer, {"same": Blocks(), "black": Blocks(0.0)}, faces, rows, templates


def people_of(setting) -> People:
    return People(setting[2].identities(setting[3]), 100, 0)


def test_an_outcome_is_what_the_attack_gave_and_the_head_says(setting):
    recognizer, decoders, faces, _, templates = setting
    head = fit_identification(templates, torch.as_tensor(faces.codes))
    attacked = outcome(
        lambda x, t: x / 2 + t[:, None, None, None] / 20, faces.images, torch.arange(36) % 6, recognizer, head, decoders
    )
    expected = faces.images / 2 + (torch.arange(36) % 6)[:, None, None, None] / 20
    torch.testing.assert_close(attacked.images, expected)
    torch.testing.assert_close(attacked.templates, recognizer(expected))
    torch.testing.assert_close(attacked.probabilities["same"], attacked.probabilities["before"], atol=1e-4, rtol=1e-3)
    assert (attacked.decoded["black"] == 0).all() and attacked.probabilities["black"].unique(dim=0).shape[0] == 1
    shown = attacked.shown(3, np.array([f"p{n}" for n in range(6)]), faces.images[3])
    best = attacked.probabilities["before"][3].max(0)
    assert shown.identified["before"] == f"p{best.indices} {best.values:.2f}" and set(shown.decoded) == set(decoders)
    torch.testing.assert_close(shown.noise, expected[3] - faces.images[3])


def by_hand(predicted: dict[str, list[int]], noise: list[float]) -> Outcome:
    """An outcome of 4 images of one pixel with these predictions and this much noise, in grey levels."""
    images = torch.tensor(noise).view(-1, 1, 1, 1).expand(-1, 3, 1, 1) / 255
    probabilities = {name: F.one_hot(torch.tensor(part), 3).float() for name, part in predicted.items()}
    return Outcome(images, torch.tensor([[1.0, 0]] * 4), {}, probabilities)


def test_a_summary_counts_targets_true_identities_and_the_noise_of_successes():
    truth, targets = np.array([0, 0, 1, 1]), np.array([1, 2, 2, 0])
    original = by_hand({"before": [0, 0, 1, 1], "v": [0, 1, 1, 1]}, [0, 0, 0, 0])
    result = by_hand({"before": [1, 2, 1, 0], "v": [0, 0, 2, 0]}, [2, 4, 100, 6])
    result = result._replace(templates=torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]]))
    metrics = targeted_summary(result, original, targets, People(truth, 100, 0))
    assert metrics["n_pairs"] == 4 and metrics["n_identities"] == 2
    counts = {name: {kind: part["count"] for kind, part in metrics[name].items()} for name in ("before", "v")}
    assert counts == {"before": {"target": 3, "true_identity": 1}, "v": {"target": 2, "true_identity": 2}}
    assert metrics["before"]["target"]["mean"] == 0.75
    differences = {kind: part["minus_before"]["mean"] for kind, part in metrics["v"].items()}
    assert differences == {"target": -0.25, "true_identity": 0.25} and "minus_v" not in metrics["before"]["target"]
    # Of truth 0 the hits are (0, 0) and (1, 1), of truth 1 (1, 0) and (0, 0): drawn together, the difference is 1, 0.25 or -0.5.
    assert (
        metrics["v"]["true_identity"]["minus_before"]["ci95_low"],
        metrics["v"]["true_identity"]["minus_before"]["ci95_high"],
    ) == (-0.5, 1)
    assert metrics["before"]["target"]["ci95_low"] <= 0.75 <= metrics["before"]["target"]["ci95_high"]
    assert metrics["cosine"]["mean"] == pytest.approx(0.5)
    assert metrics["noise"]["n_pairs"] == 3
    for name, mean in (("linf", 4), ("rms", 4), ("l2", 4 * 3**0.5)):
        assert metrics["noise"][name]["mean"] == pytest.approx(mean, rel=1e-5)
    without = targeted_summary(original, original, targets, People(truth, 100, 0))
    assert set(without) == {"n_pairs", "n_identities", "before", "v"} and without["v"]["true_identity"]["count"] == 3


def test_an_attack_that_never_succeeds_has_rates_of_zero_and_no_noise():
    truth, targets = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    original = by_hand({"before": [0, 0, 1, 1]}, [0, 0, 0, 0])
    metrics = targeted_summary(
        by_hand({"before": [0, 0, 2, 1]}, [9, 9, 9, 9]), original, targets, People(truth, 100, 0)
    )
    assert metrics["before"]["target"]["mean"] == metrics["before"]["target"]["count"] == 0
    assert metrics["noise"] == {
        "n_pairs": 0, "l2": None, "rms": None, "linf": None, "noise_note": "no attack reached its target",
    }  # fmt: skip


def test_identification_is_attacked_on_held_out_photos(setting):
    chosen = {
        "itfgsm": (20, {"epsilon": 60}),
        "tfgsm": (20, {"epsilon": 0.01}),
        "cw-l2": (4, {"iterations": 60, "searches": 3, "initial": 1.0}),
    }
    metrics, shown = attack_identification(*setting, 0.5, chosen, people_of(setting), rng())
    head = metrics["identification"]
    assert (head["n_people"], head["n_enrolled"], head["n_held_out"]) == (6, 18, 18)
    assert head["accuracy"]["mean"] == 1 and head["accuracy"]["count"] == 18
    targeted = metrics["targeted"]
    assert list(targeted) == ["original", *chosen]
    assert {name: part["n_pairs"] for name, part in targeted.items()} == {
        "original": 20,
        "itfgsm": 20,
        "tfgsm": 20,
        "cw-l2": 4,
    }
    assert targeted["original"]["before"]["true_identity"]["mean"] == 1
    assert targeted["itfgsm"]["before"]["target"]["mean"] > 0.9 and targeted["itfgsm"]["noise"]["linf"]["mean"] <= 60.01
    assert targeted["tfgsm"]["before"]["target"]["count"] == 0 and targeted["tfgsm"]["noise"]["l2"] is None
    assert targeted["cw-l2"]["before"]["target"]["mean"] == 1
    assert targeted["cw-l2"]["noise"]["l2"]["mean"] < targeted["itfgsm"]["noise"]["l2"]["mean"]
    for part in targeted.values():  # the faithful decoder changes nothing, the black face is one and the same person
        assert part["same"]["target"]["count"] == part["before"]["target"]["count"]
    json.dumps(metrics, allow_nan=False)
    titles = list(shown)
    assert titles[0].endswith("as it is") and titles[-1].endswith("the target") and titles[1:-1] == list(chosen)
    assert shown[titles[0]].identified["before"].split()[0] == titles[0].split(",")[0]
    assert shown[titles[-1]].identified["before"].split()[0] == titles[-1].split(",")[0]
    assert shown[titles[-1]].noise is None and shown["itfgsm"].noise.abs().max() > 0
    assert shown["itfgsm"].identified["before"].split()[0] == titles[-1].split(",")[0]
    table = targeted_table(targeted)
    assert len(table) == 4 * 3 * 2 and set(table["predicted"]) == {"target", "true_identity"}
    row = table[(table["attack"] == "itfgsm") & (table["decoding"] == "before") & (table["predicted"] == "target")]
    assert row["share"].item() == targeted["itfgsm"]["before"]["target"]["mean"]
    again, _ = attack_identification(*setting, 0.5, chosen, people_of(setting), rng())
    assert again == metrics


def test_the_head_learns_from_the_enrolled_photos_only(setting, monkeypatch):
    learned = []

    def recorded(templates, codes):
        learned.append((templates, codes))
        return fit_identification(templates, codes)

    monkeypatch.setattr(attacks, "fit_identification", recorded)
    metrics, _ = attack_identification(*setting, 0.2, {"tfgsm": (3, {"epsilon": 1})}, people_of(setting), rng())
    templates, codes = learned[0]
    assert codes.tolist() == [0, 1, 2, 3, 4, 5] and metrics["identification"]["n_held_out"] == 30
    assert all(
        (setting[4][setting[2].codes == code] == template).all(1).any()
        for template, code in zip(templates, codes.tolist(), strict=True)
    )


# Verification


@pytest.fixture(scope="module")
def pairs(setting):
    return attacked_pairs(*setting, epsilons=[5, 40], matching=50, generator=rng())


def test_only_the_second_faces_of_matching_pairs_are_attacked(setting, pairs):
    templates, codes = setting[4].numpy(), setting[2].codes
    everything = cosine_pairs(templates, templates, codes)
    assert set(pairs) == {(epsilon, name) for epsilon in (0.0, 5, 40) for name in ("before", "same", "black")}
    for scored in pairs.values():
        assert scored.genuine.sum() == 50 and (~scored.genuine).sum() == (~everything.genuine).sum()
        assert (scored.genuine == (scored.first == scored.second)).all()
        assert np.bincount(scored.first[scored.genuine]).max() <= 9  # 6 people in turns
        for column, other in zip(scored[2:], pairs[0.0, "before"][2:], strict=True):
            assert np.array_equal(column, other)
    for epsilon in (0.0, 5, 40):
        scored = pairs[epsilon, "before"]
        np.testing.assert_allclose(scored.scores[~scored.genuine], everything.scores[~everything.genuine], atol=1e-6)
    original = pairs[0.0, "before"].scores[:50]
    assert np.isin(original.round(5), everything.scores[everything.genuine].round(5)).all()
    assert (pairs[40, "before"].scores[:50] < pairs[5, "before"].scores[:50]).all()
    assert (pairs[5, "before"].scores[:50] < original).all()
    for epsilon in (0.0, 5, 40):
        np.testing.assert_allclose(pairs[epsilon, "same"].scores, pairs[epsilon, "before"].scores, atol=1e-4)
        assert (pairs[epsilon, "black"].scores == 0).all()


def test_verification_metrics_and_tables(pairs):
    metrics = verification_metrics(pairs, 40, People(range(6), 100, 0))
    assert set(metrics) == {
        "epsilon",
        "n_matching_pairs",
        "decline",
        "defence",
        "cost",
        "original",
        "attacked_by_5",
        "attacked_by_40",
    }
    assert metrics["n_matching_pairs"] == 50 and metrics["epsilon"] == 40
    tars = [
        metrics[attack]["before"]["tar_at_far_0.001"]["value"]
        for attack in ("original", "attacked_by_5", "attacked_by_40")
    ]
    assert tars[0] >= tars[1] >= tars[2] and tars[0] > tars[2]
    assert metrics["decline"]["before"]["tar_at_far_0.001"]["difference"] == pytest.approx(tars[2] - tars[0])
    defence = {name: values["eer"]["difference"] for name, values in metrics["defence"].items()}
    attacked = {name: values["eer"]["value"] for name, values in metrics["attacked_by_40"].items()}
    assert defence == pytest.approx({name: attacked[name] - attacked["before"] for name in ("same", "black")})
    cost = {name: values["eer"]["difference"] for name, values in metrics["cost"].items()}
    originals = {name: values["eer"]["value"] for name, values in metrics["original"].items()}
    assert cost == pytest.approx({name: originals[name] - originals["before"] for name in ("same", "black")})
    assert metrics["attacked_by_40"]["before"]["eer"]["value"] > metrics["original"]["before"]["eer"]["value"]
    json.dumps(metrics, allow_nan=False)
    curves = roc_curves(pairs, 40)
    assert set(map(tuple, curves[["attack", "decoding"]].to_numpy())) == {
        (attack, name) for attack in ("original", "attacked") for name in ("before", "same", "black")
    }
    assert curves["far"].between(0, 1, inclusive="right").all()
    table = tar_over_epsilon(metrics, [5, 40])
    before = table[table["decoding"] == "before"]
    assert before["epsilon"].tolist() == [0, 5, 40] and before["tar"].tolist() == tars
    assert isinstance(table, pd.DataFrame) and len(table) == 9


def test_without_decoders_all_is_before_decoding(setting):
    recognizer, _, faces, rows, templates = setting
    pairs = attacked_pairs(recognizer, {}, faces, rows, templates, [5], 12, rng())
    assert set(pairs) == {(0.0, "before"), (5, "before")}
    chosen = {"tfgsm": (3, {"epsilon": 5})}
    attacked = (recognizer, {}, faces, rows, templates)
    metrics, shown = attack_identification(*attacked, 0.5, chosen, people_of(setting), rng())
    assert set(metrics["targeted"]["tfgsm"]) == {"n_pairs", "n_identities", "before", "cosine", "noise"}
    assert shown and all(not one.decoded for one in shown.values())
