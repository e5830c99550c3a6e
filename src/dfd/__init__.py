"""Deep Face Decoder: reconstruct faces from face-recognition templates and study what a template holds."""
