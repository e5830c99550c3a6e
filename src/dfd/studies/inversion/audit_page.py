"""The page of an audit: one HTML file that needs nothing else, neither script nor network."""

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np
import torch
from PIL import Image

from dfd.studies.inversion.attack_rate import key
from dfd.studies.inversion.audit import FMRS, Audit
from dfd.templates.people import spread

SHOWN = 20  # reconstructions
STYLE = """
:root { color-scheme: light dark; --rule: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
figure { display: inline-block; margin: .3rem; } figcaption { font-size: .7rem; max-width: 180px; overflow-wrap: anywhere; }
img { width: 90px; height: 90px; }
.note { opacity: .75; }
"""
STANDARDS = [
    (
        "Irreversibility (ISO/IEC 24745)",
        "Reconstructions and their acceptance: how far a face, or one that passes for it, is recovered from a stored template.",
    ),
    (
        "Unlinkability and renewability (ISO/IEC 24745)",
        "Of keyed protections alone; templates without a key are linkable as they are. Measured in the project's study, not here.",
    ),
    (
        "Attack success (ISO/IEC 30136)",
        "The success attack rate, type I and II, at each false match rate, with intervals.",
    ),
    (
        "Information leakage (ISO/IEC 30136)",
        "Fidelity (PSNR, SSIM) and perceived attributes of reconstructions, beside chance.",
    ),
    (
        "Not covered",
        "Access control, transport and storage of templates; presentation attacks with the reconstructions; attackers with more "
        "pairs, more computing or the model itself; people unlike those of these photos.",
    ),
]


def page(audit: Audit, title: str, left_out: Mapping[str, str], faces: bool) -> str:
    """The page as HTML. left_out: by photo or template why it took no part. faces: whether pictures of people are shown."""
    metrics, people = audit.metrics, audit.metrics["people"]
    parts = [f"<h1>{escape(title)}</h1>"]
    parts.append(
        f"<p>{people['n_photos']} photos of {people['n_people']} people: {people['n_fitted_photos']} photos of "
        f"{people['n_fitted_people']} people taught the attacker, templates of {people['n_decoded_photos']} photos of "
        f"{people['n_tried_people']} others were decoded.</p>"
    )
    if left_out:
        rows = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in list(left_out.items())[:50])
        more = f"<li>and {len(left_out) - 50} more</li>" if len(left_out) > 50 else ""
        parts.append(f"<details><summary>{len(left_out)} left out</summary><ul>{rows}{more}</ul></details>")
    limits = metrics["conclusions"]
    if limits:
        parts.append("<h2>What cannot be concluded</h2><ul>")
        parts += [f"<li>{escape(text)}</li>" for text in limits.values()] + ["</ul>"]
    parts.append(
        "<h2>Faces that are accepted</h2><p>Type I: as the photo that the template is of. Type II: as another photo.</p>"
    )
    parts.append(_table(["judge", "FMR", "FNMR before", "type I", "type II"], _acceptance(metrics)))
    parts.append("<h2>Fidelity and attributes</h2>")
    rows = [(name.upper(), _number(estimate)) for name, estimate in metrics["fidelity"].items()]
    gender, age = metrics["attributes"]["gender"], metrics["attributes"]["age"]
    rows.append(
        (
            "perceived gender told rightly",
            f"{_share(gender['decoder'], 'mean')}; by chance {_percent(gender['chance'])}",
        )
    )
    rows.append(("error of perceived age, years", f"{_number(age['decoder'])}; by chance {age['chance']:.1f}"))
    parts.append(_table(["of reconstructions", ""], rows))
    parts.append("<p class=note>What networks see in pictures, and no statement about anybody.</p>")
    parts.append("<h2>What helps</h2>")
    parts.append(_protections(metrics["protections"]))
    parts.append("<h2>In the words of the standards</h2>" + _table(["property", "here"], STANDARDS))
    if faces:
        parts.append("<h2>Photos and what their templates give away</h2>")
        for row in spread(np.arange(len(audit.keys)), SHOWN):
            pictures = "".join(f'<img alt="" src="{_inline(part[row])}">' for part in (audit.originals, audit.images))
            parts.append(f"<figure>{pictures}<figcaption>{escape(audit.keys[row])}</figcaption></figure>")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _acceptance(metrics: Mapping) -> list[tuple]:
    rows, judges = [], metrics["judges"]
    if not any(judge["is_the_system"] for judge in judges.values()):
        unknown = "– (its model is not at hand)"
        rows += [
            ("the system itself", _percent(fmr), _fnmr(metrics["system"][key(fmr)]), unknown, unknown) for fmr in FMRS
        ]
    for name, points in judges.items():
        role = "the system itself" if points["is_the_system"] else "independent"
        role = "the decoder's recognizer" if points["decoder_learned_it"] and not points["is_the_system"] else role
        for fmr in FMRS:
            judged = points[key(fmr)]
            rates = _share(judged["type_1"]), _share(judged["type_2"])
            rows.append((f"{name} ({role})", _percent(fmr), _fnmr(judged["unattacked"]), *rates))
    return rows


def _fnmr(point: Mapping) -> str:
    return "–" if point["fnmr"] is None else _percent(point["fnmr"])


def _protections(metrics: Mapping) -> str:
    if metrics["by"] is None:
        return f"<p>{escape(metrics['by_note'])}</p>"
    rows = [
        (name, _share(values["tar"]), _share(values["unaware"]["type_2"]), _share(values["aware"]["type_2"]))
        for name, values in metrics["by"].items()
    ]
    header = ["protection", f"TAR at {_percent(metrics['fmr'])} FMR", "type II, attacker unaware", "type II, aware"]
    return f"<p>{escape(metrics['judge_note'])}.</p>" + _table(header, rows)


def _table(header: list[str], rows: list[tuple]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _share(estimate: Mapping, name: str = "value") -> str:
    """A share with its interval, in per cent; or why there is none."""
    if estimate[name] is None:
        return "– (" + next((text for key_, text in estimate.items() if key_.endswith("_note")), "") + ")"
    if estimate.get("ci95_low") is None:
        return _percent(estimate[name])
    return f"{100 * estimate[name]:.0f} % [{100 * estimate['ci95_low']:.0f}, {100 * estimate['ci95_high']:.0f}]"


def _number(estimate: Mapping) -> str:
    if estimate["mean"] is None:
        return "–"
    interval = "" if estimate["ci95_low"] is None else f" [{estimate['ci95_low']:.3g}, {estimate['ci95_high']:.3g}]"
    return f"{estimate['mean']:.3g}{interval}"


def _inline(image: torch.Tensor) -> str:
    """An image (3, S, S) in [0, 1] as the address of a PNG that lies in the page."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
