"""Learning a competing decoder as it was published: its own losses, in its phases."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dfd.decoder.settings import Decoder as DecoderSettings
from dfd.learning.competing_losses import CompetingLoss, feature_scale
from dfd.learning.decoders import Learned, fresh_decoder, learning_examples, rebuilt_from, sample, stamp
from dfd.learning.phases import PHASES, without_features
from dfd.learning.settings import CompetitorTraining, TrainDecoder
from dfd.learning.training import Conditions, train
from dfd.recognizers.base import Recognizer
from dfd.templates.store import Templates


def learn_as_published(
    templates: Templates,
    perceptual: Recognizer,
    decoder: DecoderSettings,
    training: CompetitorTraining,
    ours: TrainDecoder,
    conditions: Conditions,
    checkpoint: Path,
) -> Iterator[tuple[str, Learned]]:
    """Train a decoder, and give it after each phase, with its history so far, under the name `decoder` after the last and
    `decoder-<phase>` before; for the epochs and with the patience of `ours`. Where φ gives no gradients, without what it teaches.

    Each phase has a checkpoint beside `checkpoint`; they are removed once the last decoder was taken.
    """
    examples = learning_examples(templates, decoder.size, conditions.memory_gb)
    learning = fresh_decoder(decoder, *examples, conditions.seed)
    phases, scale, seen = without_features(PHASES[decoder.architecture]), 1.0, []
    if perceptual.gives_gradients:
        phases, seen = PHASES[decoder.architecture], [perceptual]
        scale = feature_scale(perceptual, sample(examples[0], conditions.device))
    config, by_phase = rebuilt_from(decoder, examples[0]), training.by_phase(list(phases), ours)
    decides = {"decoder": config, "phases": phases, "beta1": training.beta1}
    decides["settings"] = {phase: settings.model_dump() for phase, settings in by_phase.items()}
    histories, checkpoints = [], []
    for phase, settings in by_phase.items():
        checkpoints.append(checkpoint.with_stem(f"{checkpoint.stem}-{phase}"))
        history = train(
            learning,
            CompetingLoss(perceptual, phases[phase], scale),
            *examples,
            settings,
            conditions,
            checkpoints[-1],
            stamp(*examples, seen, conditions, decides | {"phase": phase}),
            betas=(training.beta1, 0.999),
        )
        histories.append(history.assign(phase=phase))
        name = "decoder" if phase == list(phases)[-1] else f"decoder-{phase}"
        yield name, Learned(learning, config, pd.concat(histories), scale, *examples)
    for path in checkpoints:
        path.unlink(missing_ok=True)
