"""The demo's model with a fault that can be switched on: it shows what a failure looks like.

`fault.json` beside this file, e.g. `{"source": "fra", "target": "spa", "sentence": 17}`, makes that
direction raise at that sentence; `model` is the folder of the real model.
"""

import json
from pathlib import Path

from coordinator.inference import load_model


class Handler:
    """The model in `model/`, unless `fault.json` says otherwise."""

    def load(self, model_dir, device):
        folder = Path(model_dir)
        self.model = load_model(folder / "model", device=device)
        fault = folder / "fault.json"
        self.fault = json.loads(fault.read_text()) if fault.exists() else None

    def translate(self, sentences, source_language, target_language):
        fault = self.fault
        if fault and (source_language, target_language) == (fault["source"], fault["target"]):
            sentence = sentences[fault["sentence"] - 1]
            raise RuntimeError(f"on purpose, at sentence {fault['sentence']}: {sentence!r}")
        return self.model.translate(sentences, source_language, target_language)
