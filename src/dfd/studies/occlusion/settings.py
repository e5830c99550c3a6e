"""What sets the study of blocks over eyes and mouth (Fig. 11)."""

from typing import Annotated, Literal

from pydantic import Field

from dfd.core.settings import Count, Settings, Share, Shown, Unique

REGIONS = ("eyes", "mouth")  # those of blocks.py, which brings torch with it


class Occlusions(Settings):
    regions: Annotated[list[Literal[REGIONS]], Field(min_length=1), Unique]
    shade: Share
    max_faces: Count
    shown: Shown
