"""Recognizers ξ and perceptual networks φ (paper, section 4.1.2)."""
