"""A recognizer that the pipeline trains: params.yaml trains none, its vgg is a released file."""

VGG_TRAINING = {  # its entry in train_recognizer
    "dataset": "synthetic",
    "objective": "distil",
    "teacher": "resnet",
    "margin": 0.5,
    "arcface_scale": 32,
    "epochs": 6,
    "triplet_epochs": 0,
    "triplet_margin": 0.2,
    "batch_size": 32,
    "learning_rate": 2.0e-3,
}


def train_vgg(values: dict, **changes) -> None:
    """Let params.yaml's values train vgg instead of importing it, with changes of its settings."""
    del values["import_recognizer"]["vgg"]
    values["train_recognizer"] = {"vgg": VGG_TRAINING | changes}
