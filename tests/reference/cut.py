"""Writes the committed cuts of some reference files.

    python -m tests.reference.cut ../shared/golden

They hold one bound without and one with resampling, and one file of amortized
variational filtering, so that a clone alone is tested against the original too.
"""

import json
import pathlib
import sys

import numpy as np

FILES = (
    "vrnn_bernoulli_filtering",
    "srnn_bernoulli_filtering",
    "avf/srnn_midi_avf_lsgd_norm_k2",
)
KEPT = ("cfg/", "in/", "w/", "one_step/", "sample_step/", "aux/")
KEPT += ("elbo/", "fivo4_ess/")
KEPT += ("meta", "x", "eps", "out/", "grad_")  # of the files in avf/
LEFT_OUT = ("in/gumbel", "out/run_", "out/out_", "out/prior_", "out/cond_")


def cut(file) -> dict:
    """The kept arrays as plain values, in the precision that they have."""
    return {
        name: {"dtype": array.dtype.str, "values": plain(array)}
        for name, array in file.items()
        if name.startswith(KEPT) and not name.startswith(LEFT_OUT)
        if not name.startswith("fivo4_ess/step/") or name.endswith("/z")
    }


def plain(array: np.ndarray):
    """Nested lists; floats with the fewest digits that give them back, of
    float64 with eight."""
    if array.dtype == "float64":
        return np.vectorize(lambda x: float(f"{x:.8g}"))(array).tolist()
    if array.dtype.kind == "f":
        text = [float(str(x)) for x in array.ravel()]
        return np.reshape(np.array(text, object), array.shape).tolist()
    return array.tolist()


def main(folder: pathlib.Path) -> None:
    """Reads the files of the folder and writes their cuts beside this one."""
    for name in FILES:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            text = json.dumps(cut(dict(file)), separators=(",", ":"))
        target = pathlib.Path(__file__).parent / "cuts" / f"{name}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text.replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
