"""Numbers with intervals: image quality, verification, acceptance, perceived gender (paper, section 4.2)."""
