"""What inference is measured against: batches of 128 sentences in the order of the file.

As a loop over files does it: each file by itself, so many sentences at a time, tokenized,
translated by the library's own call and turned into text, one after the other.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import ctranslate2
import torch
from train_lengths import Example
from transformers import AutoModelForSeq2SeqLM

from coordinator.domain.ctranslate2_folder import read_family
from coordinator.inference.backend import Backend, Output, Row


class Written(NamedTuple):
    """What came of it.

    Attributes:
        lengths: tokens written for each sentence, its end included.
        computed: tokens by the decoder, padding and ended rows included; None = not known.
    """

    texts: list[str]
    lengths: list[int]
    computed: int | None


Call = Callable[[Sequence[Row]], tuple[list[Output], int | None]]  # outputs, tokens computed


def by_files(
    backend: Backend, call: Call, known: Sequence[Example], size: int, *, by_length: bool = False
) -> Written:
    """Every file in batches of `size`; `by_length`: its longest sentences first."""
    texts, lengths, computed = [""] * len(known), [0] * len(known), 0
    for places in _fixed_batches(known, size, by_length):
        source, target = known[places[0]].source, known[places[0]].target
        rows = backend.encode([known[place].text for place in places], source, target)
        outputs, tokens = call(rows)
        computed += tokens or 0
        for place, output, text in zip(places, outputs, backend.decode(outputs), strict=True):
            texts[place], lengths[place] = text, output.tokens or 0
    return Written(texts, lengths, computed or None)


def _fixed_batches(known: Sequence[Example], size: int, by_length: bool) -> Iterator[list[int]]:
    places = range(len(known))
    for _, file in groupby(places, key=lambda place: (known[place].source, known[place].target)):
        order = list(file)
        if by_length:
            order.sort(key=lambda place: -len(known[place].text))
        for start in range(0, len(order), size):
            yield order[start : start + size]


def generate(folder: Path, device: str) -> Call:
    """The greedy search of transformers, the model loaded as its manual has it."""
    network = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    settings = network.generation_config
    filler, end = settings.pad_token_id, settings.eos_token_id
    longest, settings.max_length = settings.max_length, None  # as many new ones as the engine's

    def call(rows: Sequence[Row]) -> tuple[list[Output], int]:
        width, start = max(row.tokens for row in rows), rows[0].data["start"]
        padded = [[*row.data["ids"], *[filler] * (width - row.tokens)] for row in rows]
        inputs = torch.tensor(padded, device=network.device)
        mask = (inputs != filler).long()
        with torch.inference_mode():
            output = network.generate(
                input_ids=inputs,
                attention_mask=mask,
                forced_bos_token_id=start[0],
                max_new_tokens=longest,
            )
        written = output[:, 1 + len(start) :].tolist()
        kept = [row[: row.index(end) + 1] if end in row else row for row in written]
        return [Output(len(ids), ids) for ids in kept], (output.shape[1] - 1) * len(rows)

    return call


def translate_batch(folder: Path, threads: int) -> Call:
    """CTranslate2's own call, all threads in one translation, as its manual shows it first."""
    longest = read_family(folder).most_new_tokens
    translator: Any = ctranslate2.Translator(
        str(folder), device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads
    )

    def call(rows: Sequence[Row]) -> tuple[list[Output], None]:
        results = translator.translate_batch(
            [row.data["source"] for row in rows],
            target_prefix=[row.data["prefix"] for row in rows],
            beam_size=1,
            max_decoding_length=longest,
        )
        tokens = [result.hypotheses[0] for result in results]
        written = [one[len(row.data["prefix"]) :] for row, one in zip(rows, tokens, strict=True)]
        return [Output(len(ids) + 1, ids) for ids in written], None

    return call
