"""
The packaged model, llava-phi-tiny, made from nothing; for the checkout alone, never installed.

`make tiny` runs make.py. Scenes are drawn, and questions about them answered, in scenes/;
scene_shards.py keeps those that are trained on. network.py is what is trained, by the losses of
losses.py beside those of the package's own training, in phases as loop.py trains them, with
muon.py. evaluate.py asks about held-out scenes, and model_card.py writes what came of it.
recording.py makes the packaged recording. scene_files.py writes scenes as anybody's data set, for
benchmarks and the first training of docs/training.md; precisions.py compares exports.
"""
