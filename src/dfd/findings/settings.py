"""What sets the judgement of claims: what counts as alike."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Positive, Settings


class Findings(Settings):
    psnr_margin: Positive
    rate_margin: Annotated[float, Field(gt=0, lt=1)]
