"""The figures on a person's templates, clustered and aggregated (paper, Figs. 14 to 16), drawn as the other grids and curves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dfd.core.artefacts import write_table
from dfd.rendering.curves import count_figure
from dfd.rendering.grids import image_grid
from dfd.studies.people.aggregates import by_count_table
from dfd.studies.people.aggregation import aggregate
from dfd.studies.people.clustering import centroids, cluster, nearest

Decode = Callable[[torch.Tensor], torch.Tensor]  # templates (N, D) to images (N, 3, S, S)

VERIFICATION = {"tar_at_far_0.001": "TAR at 0.1 % FAR", "eer": "EER"}
DECODED = {"mirror": "difference from the mirror image\n(grey levels)", "spread": "spread over draws (grey levels)"}


def cluster_grid(
    path: str | Path,
    title: str,
    templates: Mapping[str, torch.Tensor],
    decoders: Mapping[str, Mapping[str, Decode]],
    view: Callable[[np.ndarray], torch.Tensor],
    wanted: int,
) -> None:
    """Draw one person's clusters, `wanted` or fewer: by recognizer the photo nearest to each centroid, and by variant the
    centroid decoded. templates: of the person's N photos by recognizer, (N, D); decoders: by recognizer and variant. view: images of photos at given positions."""
    photos = len(next(iter(templates.values())))
    count, rows, captions = min(wanted, photos), [], []
    for name, template in templates.items():
        labels = cluster(template, count)
        rows.append((f"photo nearest to the centroid ({name})", view(nearest(template, labels))))
        rows += [(variant, decode(centroids(template, labels))) for variant, decode in decoders[name].items()]
        captions += [[_photos(size) for size in np.bincount(labels).tolist()]] * (1 + len(decoders[name]))
    fewer = f", for want of photos not {wanted}" if count < wanted else ""
    image_grid(path, rows, None, f"{title}, {photos} templates in {count} clusters{fewer}: their centroids", captions)


def aggregate_grid(
    path: str | Path,
    title: str,
    decoded: Mapping[str, tuple[torch.Tensor, Decode]],
    added: torch.Tensor,
    counts: Sequence[int],
) -> None:
    """Draw the mean templates of one person's first photos, by their number.

    decoded: by variant the templates of the person's photos, in the order in which they are added, and what decodes them.
    added: the last of the photos, by count.
    """
    rows = [("the last photo that was added", added)]
    for variant, (templates, decode) in decoded.items():
        rows.append((variant, decode(torch.stack([aggregate(templates[:count]) for count in counts]))))
    image_grid(path, rows, [_photos(count) for count in counts], title)


def aggregate_curves(
    folder: str | Path, dataset: str, metrics: Mapping[str, dict], variants: Sequence[str], mirror: dict | None
) -> None:
    """Write the tables and, where there is something in them, the curves of what is gained by more photos.

    metrics: by recognizer, see `aggregation_metrics`. variants: in the order to be drawn. mirror: of the photos, as metrics.
    """
    verified = [
        by_count_table(name, values.get("verification") or {}, VERIFICATION) for name, values in metrics.items()
    ]
    decoded = {variant: found for values in metrics.values() for variant, found in values.get("decoded", {}).items()}
    tables = [] if mirror is None else [by_count_table("the photo", {1: {"mirror": mirror}}, ["mirror"])]
    tables += [by_count_table(variant, decoded[variant], DECODED) for variant in variants if variant in decoded]
    for file, parts, labels, title in (
        ("verification", verified, VERIFICATION, f"Verification on {dataset} by the photos in a template"),
        ("decoded", tables, DECODED, f"Decoded mean templates of {dataset}"),
    ):
        table = pd.concat(parts) if parts else by_count_table("", {}, [])
        write_table(Path(folder, f"{file}.csv"), table)
        if len(table):
            count_figure(Path(folder, f"{file}.png"), table, title, labels, "photos in a template")


def _photos(count: int) -> str:
    return f"{count} photo" + "s" * (count > 1)
