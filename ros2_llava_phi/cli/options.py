"""Options that several commands have: which model answers, and what runs it."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help='Folder of the model, or name of a packaged model.')]
Engine = Annotated[
    str, typer.Option(help='onnxruntime, tensorrt, torch, or auto: what fits the folder.')
]
Precision = Annotated[
    str, typer.Option(help="auto: the export's, or fp32; torch has bf16 and fp16, too.")
]
Device = Annotated[str, typer.Option(help='cpu, cuda, cuda:N, or auto: cuda for plans, else cpu.')]
