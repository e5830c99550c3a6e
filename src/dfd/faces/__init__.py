"""Faces: geometry, the store of crops and its views, examples to learn from, leakage."""
