"""What templates give away, as tables: metrics/invert/<decoder>.json of one data set, by decoder."""

from collections.abc import Mapping

import pandas as pd

from dfd.reporting.tables import with_interval

TYPES = {"I": "type_1", "II": "type_2"}


def inversion_tables(metrics: Mapping[str, Mapping]) -> list[tuple[str, str, pd.DataFrame]]:
    """(Heading, what it shows, table) of what the study `invert` measured; of no decoders, none."""
    tables = [
        (
            "Who is taken for the person",
            "Success attack rate (SAR, %): accepted, of all reconstructions, by recognizer and by the unattacked system's FMR; type I against "
            "the same photo, type II against others of the person. A recognizer whose own templates were decoded is marked *.",
            _rates(metrics),
        ),
        (
            "Identity and fidelity",
            "At 0.1 % FMR of the recognizer whose templates were decoded, beside what is no decoder of this kind: "
            "`nearest` is the training face with the nearest template.",
            _sources(metrics),
        ),
        (
            "What is told where",
            "By region: PSNR minus the mean face's (dB). `within 2 sd` is the share of pixels no further from the photo than twice "
            "the spread that the decoder leaves open, learned from training faces.",
            _regions(metrics),
        ),
        (
            "Attributes",
            "Perceived gender (balanced accuracy, %) and age (mean error, years) as networks see them in photos and reconstructions, and as a linear "
            "probe reads them from templates; glasses and smiles, where a data set lists them, as probes read them from templates of photos and "
            "reconstructions. `chance` knows the most frequent gender, or the mean age.",
            _attributes(metrics),
        ),
        (
            "What helps",
            "The system's own TAR (%) at 0.1 % FMR with protected templates, and SAR II (%) of faces decoded from them by an attacker who "
            "does not know of the protection, by one who maps templates back, and by one whose decoder then learned on from them "
            "(`tuned`; of `none`, from templates as they are). The recognizer without protection judges.",
            _protections(metrics),
        ),
        (
            "Unlinkability, and the worst case",
            "Over keys, D_sys (0: unlinkable, 1: linkable; Gomez-Barrero et al., 2017) with 10 bins, and white-box refinement of the pixels: SAR "
            "II (%) before → after, and what it costs in PSNR.",
            _links_and_refinement(metrics),
        ),
    ]
    return [table for table in tables if len(table[-1])]


def _rates(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        for judge, rates in data["transfer"].items():
            row = {"decoder": decoder, "judge": judge + " *" * bool(rates["self_judged"])}
            for fmr in (key for key in rates if key.startswith("fmr_")):
                for roman, kind in TYPES.items():
                    row[f"{roman} at {100 * float(fmr.removeprefix('fmr_')):g} % FMR"] = _percent(rates[fmr].get(kind))
            rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _sources(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        judge = next(name for name, rates in data["transfer"].items() if rates["self_judged"])
        for source, values in data["sources"].items():
            row = {"templates of": decoder, "source": source, "PSNR (dB)": with_interval(values["psnr"])}
            row["SSIM"] = with_interval(values["ssim"], digits=3)
            rates = values.get("sar", {}).get(judge, {})
            rows.append(row | {f"SAR {roman} (%)": _percent(rates.get(kind)) for roman, kind in TYPES.items()})
    return pd.DataFrame(rows)


def _regions(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        if "regions" not in data:  # a rival
            continue
        row = {"decoder": decoder}
        row |= {region: with_interval(values["psnr_minus_mean_face"]) for region, values in data["regions"].items()}
        rows.append(row | {"within 2 sd (%)": with_interval(data["spread"]["within_two"], "mean", 1, 100)})
    return pd.DataFrame(rows)


def _attributes(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        for attribute, values in data.get("attributes", {}).items():
            if not isinstance(values, Mapping):
                continue
            row = {"decoder": decoder, "attribute": attribute}
            flag = attribute != "age"
            row["chance"] = "50.0" if flag else f"{values['chance']:.1f}"
            for source in ("photo", "probe", "decoder", "nearest"):
                estimate = values.get(source) or {}
                cell = _percent(estimate.get("balanced")) if flag else with_interval(estimate, digits=1)
                row["reconstruction" if source == "decoder" else source] = cell
            rows.append(row)
    return pd.DataFrame(rows)


def _protections(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        for protection, values in data.get("protections", {}).items():
            if not isinstance(values, Mapping):
                continue
            row = {"decoder": decoder, "protection": protection, "TAR (%)": _percent(values["tar"])}
            for attacker in ("unaware", "aware", "tuned"):
                row[f"SAR II, {attacker}"] = _percent(values.get(attacker, {}).get("type_2"))
            rows.append(row)
    table = pd.DataFrame(rows)
    trained = len(table) and (table["SAR II, tuned"] != "–").any()  # nobody is, where inversion.fine_tuning_steps is 0
    return table if trained else table.drop(columns="SAR II, tuned", errors="ignore")


def _links_and_refinement(metrics: Mapping[str, Mapping]) -> pd.DataFrame:
    rows = []
    for decoder, data in metrics.items():
        row = {"decoder": decoder}
        for name, values in data.get("unlinkability", {}).items():
            if isinstance(values, Mapping):
                bins = values["bins_10"]
                row[f"D_sys, {name}"] = f"{bins['value']:.3f} (chance {bins['chance']:.3f})"
        refinement = data.get("refinement", {})
        for judge, values in refinement.items():
            if isinstance(values, Mapping) and judge != "psnr":
                row[f"SAR II by {judge}"] = " → ".join(_percent(values[when]["type_2"]) for when in ("before", "after"))
        if "psnr" in refinement:
            row["PSNR after − before (dB)"] = with_interval(refinement["psnr"]["after"]["minus_before"])
        if len(row) > 1:
            rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _percent(share: Mapping | None) -> str:
    return with_interval(share or {}, "value", 1, 100)
