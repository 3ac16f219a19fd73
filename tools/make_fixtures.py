"""Export the models of tests/models/made again: small random models as exporters write them, with what they compute.

Run by hand, in an environment that has the framework (torch 2.13 and onnxscript; or tensorflow, tf_keras and tf2onnx;
or scikit-learn and skl2onnx); edgernn itself is not needed::

    python tools/make_fixtures.py torch                    # all models of PyTorch
    python tools/make_fixtures.py torch --only unrolled    # those whose name holds a word
    python tools/make_fixtures.py keras -o elsewhere

Each model gets the same weights and inputs in every run, whatever else is made: its random numbers begin anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tests" / "models" / "made"


def main() -> None:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=["torch", "keras", "sklearn", "sklearn-texts"])
    parser.add_argument("--only", default="", help="make only models whose name holds this")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if arguments.framework == "sklearn-texts" and arguments.output == FOLDER:
        arguments.output = FOLDER.with_name("texts")
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.framework == "torch":
        from fixtures.torch_models import make
    elif arguments.framework == "keras":
        from fixtures.keras_models import make
    elif arguments.framework == "sklearn-texts":
        from fixtures.sklearn_texts import make
    else:
        from fixtures.sklearn_models import make
    for line in make(arguments.output, arguments.only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
