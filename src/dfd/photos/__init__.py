"""From photos to faces: data sets as published, archives, decoding, detection, face crops (paper, section 4.1.1)."""
