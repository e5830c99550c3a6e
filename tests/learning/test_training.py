"""Training a decoder: it learns, it stops in time, and killed it goes on as if nothing had happened."""

import pickle
import sys
from collections import Counter

import pytest
import torch
from damage import damages

from dfd.core.errors import DfdError
from dfd.decoder.registry import build_decoder
from dfd.faces.examples import Examples, mean_face
from dfd.learning.competing_losses import CompetingLoss
from dfd.learning.losses import TERMS, ReconstructionLoss, pixel_loss
from dfd.learning.settings import TrainDecoder
from dfd.learning.training import Conditions, _resume, _save_checkpoint, train

SIZE = 14
OPTIONS = {
    "size": SIZE,
    "width": 0.1,
    "hidden": 256,
    "channels": [64, 64, 64, 64, 64],
    "dropout": 0.2,
    "normalise": "batch",
    "output": "linear",
}
WEIGHTS = dict.fromkeys(TERMS, 1.0)
PIXEL = dict.fromkeys(TERMS, 0.0) | {"pixel": 1.0}
SETTINGS = {
    "epochs": 5,
    "patience": 5,
    "batch_size": 6,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "schedule": "constant",
    "averaging": 0.0,
    "clip": 0.0,
    "noise": 0.0,
}


def arguments(checkpoint, precision="float32", seed=0, stamp="these params", betas=(0.9, 0.999), **changes) -> tuple:
    """What `train` takes after the examples; changes: of the settings."""
    conditions = Conditions(torch.device("cpu"), precision, seed, 1.0)
    return TrainDecoder(**SETTINGS | changes), conditions, checkpoint, stamp, betas


def every_term(phi, gain: float = 1.0, share: float = 1.0) -> ReconstructionLoss:
    """The identity among them, which is drawn at random; φ is also the recognizer that sees it."""
    return ReconstructionLoss(phi, WEIGHTS, gain, share, phi, False)


class Killed(ReconstructionLoss):
    """A loss during whose evaluation of the given training batch (from 1) somebody kills the process."""

    def __init__(self, phi, *arguments, at: int):
        super().__init__(phi, WEIGHTS, *arguments, identity=phi, white_box=False)
        self.left = at

    def terms(self, images, targets, templates):
        self.left -= torch.is_grad_enabled()
        if self.left == 0:
            raise KeyboardInterrupt
        return super().terms(images, targets, templates)


class Scripted(ReconstructionLoss):
    """A loss whose validation values, one per epoch, are given."""

    def __init__(self, phi, values):
        super().__init__(phi, PIXEL)
        self.values = list(values)

    def terms(self, images, targets, templates):
        if torch.is_grad_enabled():
            return super().terms(images, targets, templates)
        return {"pixel": torch.full((len(images),), float(self.values.pop(0)))}


@pytest.fixture(scope="module")
def examples(synthetic_store):
    """(training, validation): faces with something of themselves as templates, their 3×3 pixels."""
    templates = synthetic_store.views(range(len(synthetic_store)), 3).flatten(1)
    mirrored = templates.view(-1, 3, 3, 3).flip(3).flatten(1)
    training = Examples(synthetic_store, synthetic_store.rows("train"), SIZE, templates, mirrored, 1.0)
    return training, Examples(synthetic_store, synthetic_store.rows("validation"), SIZE, templates, None, 1.0)


def build_fresh(examples):
    torch.manual_seed(0)
    decoder = build_decoder("inverted-vgg", examples[0].targets.shape[1], OPTIONS)
    decoder.set_statistics(examples[0].targets, mean_face(examples[0]))
    return decoder


@pytest.fixture
def run(examples, phi, tmp_path):
    """A function: trains a fresh decoder, and gives it with its history."""

    def training(loss=None, **changes):
        decoder = build_fresh(examples)
        torch.manual_seed(torch.seed())  # nothing may hang on where the process's generator stands
        loss = loss or every_term(phi, 2.0, 0.5)
        changes = {"checkpoint": tmp_path / "checkpoint.pt"} | changes
        return decoder, train(decoder, loss, *examples, *arguments(**changes))

    return training


def equal(decoder, other) -> bool:
    return equal_states(decoder.state_dict(), other.state_dict())


def equal_states(state: dict, other: dict) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "halving"])
def test_the_loss_falls_and_every_term_is_logged(run, phi, schedule):
    _, history = run(every_term(phi), epochs=12, patience=12, schedule=schedule)
    assert list(history) == ["epoch", "split", "total", *TERMS]
    assert history["epoch"].tolist() == [epoch for epoch in range(1, 13) for _ in range(2)]
    assert history["split"].tolist() == ["train", "validation"] * 12
    assert history.notna().all().all()
    for _, values in history.groupby("split"):
        assert values["total"].tolist() == pytest.approx(values[list(TERMS)].sum(axis=1).tolist(), rel=1e-5)
    # Of a dozen training faces a decoder learns nothing about others: only the training loss must fall.
    training = history.loc[history["split"] == "train", "total"]
    assert training.iloc[-1] < 0.9 * training.iloc[0]


@pytest.mark.parametrize("epochs, halvings", [(9, 0), (10, 1), (21, 2)])
def test_halving_halves_every_ten_epochs_and_betas_reach_adam(run, phi, tmp_path, epochs, halvings):
    run(ReconstructionLoss(phi, PIXEL), epochs=epochs, patience=99, schedule="halving", betas=(0.5, 0.95))
    groups = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["parts"]["optimizer"]["param_groups"]
    for group in groups:
        assert group["lr"] == pytest.approx(3e-3 * 0.5**halvings) and group["betas"] == (0.5, 0.95)


def test_a_competing_loss_is_learned_from(run, phi):
    _, history = run(CompetingLoss(phi, {"absolute": 1.0, "ssim": 0.75}), epochs=40, patience=40)
    assert list(history) == ["epoch", "split", "total", "absolute", "ssim"]
    training = history.loc[history["split"] == "train", "total"]
    assert training.iloc[-1] < 0.95 * training.iloc[0]


def test_a_term_without_weight_is_not_logged(run, phi):
    without = {"gradient", "local_pixel", "identity"}
    _, history = run(ReconstructionLoss(phi, WEIGHTS | dict.fromkeys(without, 0.0)), epochs=1)
    assert set(history) == {"epoch", "split", "total", *TERMS} - without


def test_the_history_holds_means_over_images_not_over_batches(run, examples, phi):
    decoder, history = run(epochs=1, batch_size=4)
    assert len(examples[1]) % 4 > 1  # the last batch is smaller
    _, templates, images = examples[1].__getitems__(list(range(len(examples[1]))))
    with torch.no_grad():
        expected = every_term(phi, 2.0).terms(decoder.eval()(templates), images.float() / 255, templates)
    for term in ("pixel", "gradient", "local_pixel"):
        assert history[term].iloc[-1] == pytest.approx(float(expected[term].mean()), rel=1e-4)


@pytest.mark.parametrize(
    "values, patience, epochs, best",
    [
        ([5, 4, 3, 6, 7, 8, 9], 2, 5, 3),
        ([5, 6, 7, 8], 1, 2, 1),
        ([5, 6, 4, 6, 7, 8, 3], 3, 6, 3),
        ([5, 5, 5, 5], 2, 3, 1),
        ([5, 4, 3, 2], 1, 4, 4),
    ],
)
def test_it_stops_after_patience_epochs_and_keeps_the_best(run, phi, values, patience, epochs, best):
    decoder, history = run(Scripted(phi, values), epochs=len(values), patience=patience)
    assert history["epoch"].max() == epochs
    assert history.loc[history["split"] == "validation", "total"].tolist() == values[:epochs]
    falling, _ = run(Scripted(phi, range(best, 0, -1)), epochs=best, stamp="falling")
    assert equal(decoder, falling)


def test_no_finite_loss_is_told(run, phi):
    with pytest.raises(DfdError, match="learning_rate"):
        run(Scripted(phi, [float("nan")] * 5), epochs=2)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("batch", [1, 2])
def test_killed_it_goes_on_as_if_nothing_had_happened(run, examples, phi, tmp_path, schedule, batch, averaging):
    assert OPTIONS["dropout"] > 0
    settings = {"schedule": schedule, "averaging": averaging, "clip": 1e-3}
    whole, expected = run(**settings, checkpoint=tmp_path / "whole.pt")
    steps = -(-len(examples[0].rows) // SETTINGS["batch_size"])
    assert steps > 2
    with pytest.raises(KeyboardInterrupt):  # in epoch 3
        run(Killed(phi, 2.0, 0.5, at=2 * steps + batch), **settings)
    left = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(left["history"]) == 4  # two epochs, two splits
    counting = Killed(phi, 2.0, 0.5, at=3 * steps + 1)  # a run from the start would be killed again
    resumed, history = run(counting, **settings)
    assert equal(resumed, whole)
    assert history.equals(expected)
    assert counting.left == 1


def test_killed_after_its_last_epoch_nothing_is_left_to_train(run, phi):
    whole, expected = run()
    resumed, history = run(Killed(phi, at=1))
    assert equal(resumed, whole) and history.equals(expected)


def test_killed_while_losing_patience_it_still_stops(run, phi):
    run(Scripted(phi, [5, 6]), epochs=2, patience=2)
    decoder, history = run(Scripted(phi, [7, 8, 9]), epochs=5, patience=2)
    assert history["epoch"].max() == 3
    first, _ = run(Scripted(phi, [5]), epochs=1, stamp="first")
    assert equal(decoder, first)


@pytest.mark.parametrize("change", [{"stamp": "other params"}, {"stamp": ""}])
def test_a_checkpoint_of_other_params_is_ignored(run, change, tmp_path):
    run(epochs=2, learning_rate=1e-2)
    anew, history = run(**change)
    fresh, expected = run(checkpoint=tmp_path / "fresh.pt")
    assert history.equals(expected) and equal(anew, fresh)


class Payload:
    def __reduce__(self):
        return exec, ("open('executed', 'w')",)


FOREIGN = {
    "code": pickle.dumps({"stamp": "these params", "parts": Payload()}, protocol=2),
    "empty": b"",
    "cut off": b"PK\x03\x04",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_checkpoint_is_neither_run_nor_used(run, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(content)
    decoder, history = run(epochs=1)
    assert not (tmp_path / "executed").exists()
    fresh, expected = run(epochs=1, checkpoint=tmp_path / "fresh.pt")
    assert history.equals(expected) and equal(decoder, fresh)


def test_a_damaged_checkpoint_is_told_or_not_used(tmp_path):
    layer, path = torch.nn.Linear(4, 3), tmp_path / "checkpoint.pt"
    _save_checkpoint(path, "these params", {"decoder": layer}, [{"epoch": 1}], {"loss": 1.0})
    outcomes = Counter()
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            history, _ = _resume(path, "these params", {"decoder": layer}, [], {})
            outcomes["resumed" if history else "anew"] += 1
        except DfdError as error:
            assert str(error).endswith("delete it, and the training starts anew")
            outcomes["told"] += 1
    assert outcomes["anew"] and sum(outcomes.values()) == 40


def test_a_checkpoint_without_what_it_should_hold_is_told(tmp_path):
    torch.save({"stamp": "these params", "parts": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(DfdError, match="checkpoint.pt: damaged; delete it"):
        _resume(tmp_path / "checkpoint.pt", "these params", {"decoder": torch.nn.Linear(4, 3)}, [], {})


def test_the_checkpoint_is_replaced_as_a_whole(run, tmp_path):
    run(epochs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("epochs, batch_size", [(1, 100), (5, 12), (10, 100), (2, 5), (1, 3)])
def test_any_number_of_steps_can_be_scheduled(run, epochs, batch_size):
    _, history = run(epochs=epochs, patience=epochs, batch_size=batch_size, schedule="one-cycle")
    assert history["epoch"].max() == epochs and history.notna().all().all()


def test_the_seed_decides(run, tmp_path):
    runs = [run(epochs=1, seed=seed, checkpoint=tmp_path / f"{i}.pt")[0] for i, seed in enumerate((0, 0, 1))]
    assert equal(runs[0], runs[1]) and not equal(runs[0], runs[2])


def test_faces_that_do_not_fit_in_memory_teach_the_same(run, examples, synthetic_store, phi, tmp_path):
    in_memory, expected = run(epochs=2)
    templates = synthetic_store.views(range(len(synthetic_store)), 3).flatten(1)
    mirrored = templates.view(-1, 3, 3, 3).flip(3).flatten(1)
    streamed = Examples(synthetic_store, synthetic_store.rows("train"), SIZE, templates, mirrored, 0.0)
    assert streamed.images is None
    torch.manual_seed(0)
    decoder = build_decoder("inverted-vgg", 27, OPTIONS)
    decoder.set_statistics(streamed.targets, mean_face(examples[0]))
    same = arguments(tmp_path / "streamed.pt", epochs=2)
    history = train(decoder, every_term(phi, 2.0, 0.5), streamed, examples[1], *same)
    assert history.equals(expected) and equal(decoder, in_memory)


class Following(ReconstructionLoss):
    """A loss that keeps the decoder's state between its forward pass and each training step; `decoder` is to be set."""

    def __init__(self, phi):
        super().__init__(phi, PIXEL)
        self.states, self.decoder = [], None

    def terms(self, images, targets, templates):
        if torch.is_grad_enabled():
            self.states.append({name: tensor.clone() for name, tensor in self.decoder.state_dict().items()})
        return super().terms(images, targets, templates)


def saved(path, part: str) -> dict:
    return torch.load(path, weights_only=True)["parts"][part]


@pytest.mark.parametrize("averaging", [0.2, 0.8])  # reached in the third step; in none of so few
def test_kept_is_the_running_mean_of_the_weights_after_every_step(run, examples, phi, tmp_path, monkeypatch, averaging):
    """m₁ = w₁, mₖ₊₁ = a·mₖ + (1 − a)·wₖ₊₁ with a = min(averaging, (1 + k)/(10 + k)), of batch normalisation's statistics
    too; it is what is validated."""
    loss = Following(phi)
    build = build_decoder

    def followed(*arguments):
        loss.decoder = build(*arguments)
        return loss.decoder

    monkeypatch.setattr(sys.modules[__name__], "build_decoder", followed)
    kept, history = run(loss, epochs=1, averaging=averaging)
    last = saved(tmp_path / "checkpoint.pt", "decoder")
    assert len(loss.states) == -(-len(examples[0].rows) // SETTINGS["batch_size"]) > 2
    statistics = dict(kept.named_buffers())  # a forward pass has changed them before the step changes the weights
    for name, tensor in kept.state_dict().items():
        states = loss.states if name in statistics else [*loss.states[1:], last]
        if tensor.is_floating_point():
            mean = states[0][name].double()
            for k, state in enumerate(states[1:], 1):
                share = min(averaging, (1 + k) / (10 + k))
                mean = share * mean + (1 - share) * state[name].double()
            torch.testing.assert_close(tensor.double(), mean, atol=1e-6, rtol=1e-5)
    assert not equal_states(kept.state_dict(), last)
    _, templates, images = examples[1].__getitems__(list(range(len(examples[1]))))
    with torch.no_grad():
        expected = pixel_loss(kept.eval()(templates), images.float() / 255).mean()
    assert history["total"].iloc[-1] == pytest.approx(float(expected), rel=1e-4)


def test_without_averaging_the_weights_themselves_are_kept(run, phi, tmp_path):
    kept, _ = run(ReconstructionLoss(phi, PIXEL), epochs=1, averaging=0.0)
    assert equal_states(kept.state_dict(), saved(tmp_path / "checkpoint.pt", "decoder"))


def test_averaging_does_not_change_where_the_weights_go(run, phi, tmp_path):
    for averaging in (0.0, 0.9):
        run(every_term(phi), epochs=2, averaging=averaging, checkpoint=tmp_path / f"{averaging}.pt")
    assert equal_states(saved(tmp_path / "0.0.pt", "decoder"), saved(tmp_path / "0.9.pt", "decoder"))


@pytest.fixture
def gradients(monkeypatch):
    """The gradients of all weights, one vector for each step of Adam."""
    seen, step = [], torch.optim.AdamW.step

    def noting(optimizer, *arguments):
        seen.append(torch.cat([w.grad.flatten() for group in optimizer.param_groups for w in group["params"]]).clone())
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    return seen


def test_a_gradient_is_clipped_to_its_greatest_norm(run, phi, gradients, tmp_path):
    run(ReconstructionLoss(phi, PIXEL), epochs=1, checkpoint=tmp_path / "free.pt")
    free = list(gradients)
    norms = [float(gradient.norm()) / 255**2 for gradient in free]
    gradients.clear()
    clip = norms[0] / 3
    run(ReconstructionLoss(phi, PIXEL), epochs=1, clip=clip, checkpoint=tmp_path / "clipped.pt")
    torch.testing.assert_close(gradients[0], free[0] / 3, rtol=1e-3, atol=1e-6)  # shorter, not turned
    assert all(float(gradient.norm()) / 255**2 <= clip * (1 + 1e-4) for gradient in gradients)
    gradients.clear()
    run(ReconstructionLoss(phi, PIXEL), epochs=1, clip=2 * max(norms), checkpoint=tmp_path / "loose.pt")
    assert all(torch.equal(a, b) for a, b in zip(gradients, free, strict=True))


def test_a_competing_losss_gradient_is_its_own(run, phi, gradients):
    """In [0, 1] units already: smaller, it would drown in Adam's ε of 1e-8."""
    run(CompetingLoss(phi, {"absolute": 1.0}), epochs=1)
    assert gradients[0].abs().median() > 1e-6


class Indifferent(ReconstructionLoss):
    """A loss without gradients."""

    def terms(self, images, targets, templates):
        return {name: 0 * value for name, value in super().terms(images, targets, templates).items()}


def test_weight_decay_leaves_biases_and_norms_alone(run, phi, examples):
    before = build_fresh(examples).state_dict()
    decoder, _ = run(Indifferent(phi, PIXEL), epochs=1, weight_decay=0.5, learning_rate=0.01)
    steps = -(-len(examples[0].rows) // SETTINGS["batch_size"])
    for name, weight in decoder.named_parameters():
        factor = (1 - 0.01 * 0.5) ** steps if weight.ndim > 1 else 1
        torch.testing.assert_close(weight, before[name] * factor, msg=name)
    assert {weight.ndim for weight in decoder.parameters()} == {1, 2, 4}


def test_bfloat16_comes_close(run, tmp_path):
    _, exact = run(epochs=3, checkpoint=tmp_path / "32.pt")
    _, rounded = run(epochs=3, precision="bfloat16", checkpoint=tmp_path / "16.pt")
    assert rounded["total"].tolist() == pytest.approx(exact["total"].tolist(), rel=0.1)
    assert rounded["total"].tolist() != exact["total"].tolist()
