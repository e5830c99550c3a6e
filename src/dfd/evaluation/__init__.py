"""How good reconstructions and templates are: image quality, verification, intervals (paper, section 4.2)."""
