"""Templates with their pictures in one Parquet file, as viewers of data sets open it.

Columns: `key`, `identity`, `split` (text), `template` (a list of float32), `face` and `reconstruction`: each a struct of
`bytes`, a PNG, and `path`, a name for it, which is how Hugging Face's data sets keep pictures; the schema's metadata says
so to them. Whose templates they are stands in the metadata too, as in all files of templates.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from dfd.core.artefacts import replacing
from dfd.explorer.space import png

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "identity", "split")),
        ("template", pa.list_(pa.float32())),
        *((name, PICTURE) for name in ("face", "reconstruction")),
    ]
)


def write_table_with_images(
    path: str | Path,
    keys: Sequence[str],
    identities: Sequence[str],
    splits: Sequence[str],
    templates: torch.Tensor,
    faces: torch.Tensor,
    reconstructions: torch.Tensor | None,
    source: Mapping[str, str],
) -> None:
    """Write N rows: templates (N, D); faces and reconstructions (N, 3, H, W) in [0, 1], null where there are none.

    source: whose templates they are, by the names in `dfd.templates.files.SOURCE`, and the decoder, where there is one.
    """
    columns = {"key": keys, "identity": identities, "split": splits, "template": list(templates.numpy())}
    columns |= {
        name: [{"bytes": png(image), "path": f"{key}.{name}.png"} for key, image in zip(keys, images, strict=True)]
        if images is not None
        else [None] * len(keys)
        for name, images in (("face", faces), ("reconstruction", reconstructions))
    }
    features = {"info": {"features": {name: {"_type": "Image"} for name in ("face", "reconstruction")}}}
    schema = SCHEMA.with_metadata({**source, "huggingface": json.dumps(features)})
    with replacing(path) as temporary:
        pq.write_table(pa.table({name: list(values) for name, values in columns.items()}, schema=schema), temporary)
