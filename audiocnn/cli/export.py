"""`audiocnn export`: the networks as one file that other programs run without audiocnn or torch."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("export", help="one ONNX file from sound to class, for programs without audiocnn")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="where to write it")
    parser.add_argument(
        "--models", default="models", metavar="PLACE", help="folder, file or hf://OWNER/NAME[@REV][/FILE] (models)"
    )
    parser.add_argument("--fold", type=int, metavar="K", help="one fold's weights (default: the mean over all folds)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the file, once onnxruntime says what torch says. Raises UserError."""
    if options.onnx.suffix != ".onnx" or options.onnx.is_dir():
        raise UserError(f"--onnx is {options.onnx}, expected a file name that ends in .onnx.")
    from audiocnn.files import write_atomically
    from audiocnn.inference.ensemble import load_models
    from audiocnn.inference.find_weights import find_weights
    from audiocnn.inference.onnx_export import OPSET, export_onnx

    models = load_models(find_weights(options.models, options.fold))
    export = export_onnx(models)
    write_atomically(options.onnx, export.content)
    of = f"the mean of {len(models)} networks" if len(models) > 1 else "one network"
    print(f"{options.onnx}: {of}, opset {OPSET}, {len(export.content):,} bytes")
    print(f"checked by onnxruntime: no probability is further than {export.difference:.1g} from torch's")
