"""A seq2seq model in CTranslate2's format, run without torch and transformers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2

from coordinator.domain.ctranslate2_folder import Family, read_family
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.model_folder import read_languages
from coordinator.inference.backend import Output, Row
from coordinator.inference.faults import model_errors
from coordinator.inference.gpus import device_for
from coordinator.inference.marks import Direction, directions_of
from coordinator.inference.tokens import Tokens, read_tokenizer

SHARES = 2  # of a batch for each translator, so that none waits long for the last


class CTranslate2Backend:
    """See `Backend`. Rows carry their own target language, so that directions mix."""

    mixes_directions = True
    whole_items = False

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        *,
        beams: int = 1,
        compute_type: str | None = None,
        translators: int | None = None,
    ) -> None:
        """Load the model.

        Args:
            folder: see `coordinator.domain.ctranslate2_folder`.
            device: "cpu" or "cuda"; None takes the GPU where there is one.
            beams: 1 = greedy.
            compute_type: CTranslate2's name for what is computed in; None = float32 on a CPU, on a
                GPU the first of bfloat16, float16 and float32 that it has.
            translators: on a CPU, how many work side by side, each in one thread; None = one a
                core.

        Raises:
            ModelError: it cannot be loaded, or the device is not there.
            MemoryError: memory ran out, the GPU's included.
        """
        gpus = ctranslate2.get_cuda_device_count()
        self.device = device_for(device, there=gpus > 0, library="CTranslate2")
        self._beams = beams
        self._workers = _workers(self.device, translators)
        self._family = read_family(folder)
        self._direction = directions_of(self._family, read_languages(folder))
        with model_errors(f"loading {folder}"):
            self._tokens = _tokenizer(folder, self._family)
            self._translator = _translator(folder, self.device, compute_type, self._workers)

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """Raises as `Backend.encode` says."""
        direction = self._direction(source, target)
        with model_errors("tokenizing"):
            split = self._tokens.split([direction.text + text for text in texts])
        return [self._row(tokens, direction) for tokens in split]

    def _row(self, tokens: list[str], direction: Direction) -> Row:
        whole = [*direction.before, *tokens, *direction.after]
        longest = self._family.longest_source
        # What is cut ends as a sentence does.
        end = direction.after
        kept = whole if len(whole) <= longest else [*whole[: longest - len(end)], *end]
        data = {"source": kept, "prefix": list(direction.prefix)}
        return Row(len(kept), data, truncated=len(whole) > longest)

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """Raises as `Backend.translate` says."""
        shares = _shares(rows, SHARES * self._workers if self._workers > 1 else 1)
        outputs: dict[int, Output] = {}
        with model_errors("translating"):
            started = [self._start([rows[place] for place in places]) for places in shares]
            for places, waiting in zip(shares, started, strict=True):
                for place, future in zip(places, waiting, strict=True):
                    outputs[place] = self._output(rows[place], future.result())
        return [outputs[place] for place in range(len(rows))]

    def _start(self, rows: list[Row]) -> list[Any]:
        prefixes = [row.data["prefix"] for row in rows]
        futures: list[Any] = self._translator.translate_batch(
            [row.data["source"] for row in rows],
            target_prefix=prefixes if any(prefixes) else None,
            beam_size=self._beams,
            max_input_length=0,  # none of its own: what is too long was cut
            min_decoding_length=0,  # else a model may not say that there is nothing to say
            max_decoding_length=self._family.most_new_tokens,
            asynchronous=True,
        )
        return futures

    def _output(self, row: Row, result: Any) -> Output:
        """The language's token, which was given, is left out; an end that was written counts."""
        whole = result.hypotheses[0]
        written = whole[len(row.data["prefix"]) :]
        ended = len(whole) < self._family.most_new_tokens
        return Output(len(written) + ended, written, truncated=not ended)

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [self._tokens.join(output.data) for output in outputs]


def load_ctranslate2(
    folder: Path, options: InferenceOptions, device: str | None
) -> CTranslate2Backend:
    """As the step's options have it. Raises as `CTranslate2Backend` does."""
    return CTranslate2Backend(
        folder,
        device,
        beams=options.beams,
        compute_type=options.compute_type,
        translators=max(1, cores() // (options.processes or 1)),
    )


def _shares(rows: Sequence[Row], wanted: int) -> list[list[int]]:
    """Places of rows, in about so many parts of as many tokens, like lengths together."""
    order = sorted(range(len(rows)), key=lambda place: -rows[place].tokens)
    budget = -(-sum(row.tokens for row in rows) // wanted)
    shares: list[list[int]] = []
    filled = budget
    for place in order:
        if filled >= budget:
            shares.append([])
            filled = 0
        shares[-1].append(place)
        filled += rows[place].tokens
    return shares


def _tokenizer(folder: Path, family: Family) -> Tokens:
    # Sentences are few at a time, and the cores are the translators'.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return read_tokenizer(folder, family)


def _translator(
    folder: Path, device: str, compute_type: str | None, workers: int
) -> ctranslate2.Translator:
    """One-thread translators side by side keep a CPU busier than one of many threads."""
    ctranslate2.set_log_level(_ERROR)
    return ctranslate2.Translator(
        str(folder),
        device=device,
        compute_type=compute_type or _compute_type(device),
        inter_threads=workers,
        intra_threads=1,
        max_queued_batches=-1,
    )


_ERROR = 40  # of the module logging


def _compute_type(device: str) -> str:
    if device == "cpu":
        return "float32"
    offered = ctranslate2.get_supported_compute_types(device)
    return next(kind for kind in ("bfloat16", "float16", "float32") if kind in offered)


def _workers(device: str, asked: int | None) -> int:
    return 1 if device == "cuda" else asked or cores()


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))
