"""What sets the judgement of claims: what counts as alike."""

from dfd.core.settings import Part, Positive, Settings


class Findings(Settings):
    psnr_margin: Positive
    rate_margin: Part
