"""Adversarial noise, before and after decoding (paper, 4.3.3: Figs. 12 and 13)."""
