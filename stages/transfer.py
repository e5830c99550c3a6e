"""All decoders as attacks, together, ours by each loss and competitors among them: who takes whose reconstructions for the person, and identity beside fidelity."""

from dfd.core.artefacts import write_table
from dfd.core.left_out import LeftOut
from dfd.params import load_params
from dfd.rendering.curves import left_out_figure
from dfd.rendering.planes import matrix_figure, plane_figure
from dfd.reporting.tables import read_metrics, read_rivals
from dfd.studies.inversion.rows import plane_table, transfer_table
from stages import log, run

KINDS = {"type_1": "the same photo", "type_2": "another photo of the person"}


def main() -> None:
    params = load_params()
    dataset, far = params.roles.verification, params.evaluate.far
    metrics = read_metrics("invert", params.decoders) | read_rivals(dataset)
    at = f"at a FMR of {100 * far:g} %"
    for kind, what in KINDS.items():
        table = transfer_table(metrics, dataset, far, kind)
        write_table(f"plots/transfer/{kind}.csv", table)
        title = f"{dataset}, {at}: accepted as\n{what} (framed: self-judged)"
        if len(table):
            matrix_figure(f"plots/transfer/{kind}.png", table, title, "seen by", "decoder")
        else:
            left_out_figure(f"plots/transfer/{kind}.png", LeftOut(f"Nobody judged reconstructions of {dataset} {at}"))
    table = plane_table(metrics, dataset)
    write_table("plots/transfer/plane.csv", table)
    if len(table):
        title = f"{dataset}: identity and fidelity, {at}"
        plane_figure("plots/transfer/plane.png", table, title, "SSIM", "share accepted as another photo of the person")
    else:
        left_out_figure("plots/transfer/plane.png", LeftOut(f"Nothing was reconstructed of {dataset}"))
    log.info("%d decoders", len(metrics))


if __name__ == "__main__":
    run(main)
