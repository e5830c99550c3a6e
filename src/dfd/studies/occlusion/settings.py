"""What sets the study of blocks over eyes and mouth (Fig. 11)."""

from typing import Annotated

from pydantic import Field

from dfd.core.settings import Count, Settings, Share, Shown, Text, Unique


class Occlusions(Settings):
    regions: Annotated[list[Text], Field(min_length=1), Unique]
    shade: Share
    max_faces: Count
    shown: Shown
