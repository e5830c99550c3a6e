"""Where the pipeline leaves what (dvc.yaml): the paths of a project, by name."""

ARCHIVE = "data/raw/{}.tar"
FACES = "data/faces/{}.h5"
RECOGNIZER = "data/recognizers/{}.safetensors"
TEMPLATES = "data/templates/{}/{}.h5"  # data set, recognizer
DECODER = "data/decoders/{}.safetensors"  # variant
CLOSED_FORM = "data/closed_form/{}/{}.safetensors"  # recognizer; linear, or quadratic
EXPERIMENT = "data/experiments/{}/{}"  # experiment, what was learned in it: a folder
TRANSFORMS = "data/transforms/{}.h5"  # recognizer
PERTURBED = "data/perturbed/{}.h5"  # recognizer: its templates of perturbed test faces
