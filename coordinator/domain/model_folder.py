"""What a model folder must hold, checked cheaply: no weights are loaded, nothing is imported.

The submitter asks this before anything is dispatched, the worker before a GPU is taken.
"""

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from coordinator.domain.ctranslate2_folder import MODEL, ctranslate2_problems
from coordinator.domain.endpoint import ENDPOINT, read_endpoint
from coordinator.domain.safetensors_file import safetensors_problem
from coordinator.errors import ModelError, Problem

ModelKind = Literal["handler", "endpoint", "huggingface", "ctranslate2"]

HANDLER = "handler.py"
HANDLER_CLASS = "Handler"
CONFIG = "config.json"
LANGUAGES = "languages.json"  # optional: the item's language code -> the tokenizer's
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"  # of weights in several files
TOKENIZER_CONFIG = "tokenizer_config.json"
MODEL_TYPES = ("m2m_100", "marian", "mbart")  # M2M100 and NLLB are both m2m_100
GUIDE = "docs/writing-a-handler.md"

_KINDS: dict[str, ModelKind] = {  # by the file that tells it; the first that is there
    HANDLER: "handler",
    ENDPOINT: "endpoint",
    MODEL: "ctranslate2",
    CONFIG: "huggingface",
}
_TOKENIZERS = (  # any one of these sets is enough
    ("vocab.json", "sentencepiece.bpe.model"),  # M2M100
    ("tokenizer.json",),  # NLLB, mBART-50
    ("sentencepiece.bpe.model",),  # NLLB, mBART-50
    ("vocab.json", "source.spm", "target.spm"),  # Marian
)
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_MAX_JSON = 64 << 20  # bytes; the index of the largest models is some hundred kB
_SHOWN = 60  # characters of what a file says, in a message
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def check_model(folder: Path, real: int | None = None) -> ModelKind:
    """The kind of model in `folder`, if it looks whole.

    Args:
        folder: holds the model's files.
        real: bytes of each file that are there, the rest being zeros; None = all.

    Raises:
        ModelError: the folder is missing, unreadable, of no known kind, or has broken files; all
            that is wrong is named at once.
    """
    try:
        kind = _kind_of(folder)
        problems = [*_pointer_problems(folder), *_problems(kind, folder, real)]
    except OSError as error:
        raise ModelError(
            f"the model folder {folder} cannot be read",
            why=error.strerror or str(error),
            hint="check the path and its permissions",
        ) from error
    if problems:
        raise _unusable(folder, problems)
    return kind


def read_languages(folder: Path) -> dict[str, str]:
    """The folder's own table of language codes: the item's code -> the tokenizer's; often empty.

    Raises:
        ModelError: the table is not a JSON object of texts.
    """
    path = folder / LANGUAGES
    if not path.is_file():
        return {}
    table = _json_object(path)
    if table is None or not all(isinstance(code, str) for code in table.values()):
        raise _unusable(folder, [_bad_languages(path)])
    return table


def _problems(kind: ModelKind, folder: Path, real: int | None) -> Iterator[Problem]:
    match kind:
        case "handler":
            return _handler_problems(folder)
        case "endpoint":
            return _endpoint_problems(folder)
        case "huggingface":
            return _huggingface_problems(folder)
        case "ctranslate2":
            problems = ctranslate2_problems(folder, real)
            return itertools.chain(problems, _language_problems(folder / LANGUAGES))


def _unusable(folder: Path, problems: list[Problem]) -> ModelError:
    if len(problems) > 1:
        what = f"the model in {folder} cannot be used: {len(problems)} problems"
        return ModelError(what, hint="mend them all, then try again", problems=problems)
    [only] = problems
    return ModelError(f"{only.where} cannot be used", why=only.reason, hint=only.fix)


def _kind_of(folder: Path) -> ModelKind:
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "there is no such folder"
        hint = f"give the folder that holds {HANDLER}, {ENDPOINT}, {MODEL} or {CONFIG}"
        raise ModelError(f"the model folder {folder} cannot be used", why=why, hint=hint)
    for name, kind in _KINDS.items():
        if (folder / name).is_file():
            return kind
    raise ModelError(
        f"the folder {folder} holds no model that is known here",
        why=f"it has none of {', '.join(_KINDS)}",
        hint=f"write a {HANDLER} or {ENDPOINT} ({GUIDE}), or save a known kind of model there",
    )


def _pointer_problems(folder: Path) -> Iterator[Problem]:
    """Files that git-lfs has not fetched: small texts in the place of the real ones."""
    for path in _files(folder):
        if _is_pointer(path):
            reason = "it is a git-lfs pointer, not the file itself"
            yield Problem(str(path), reason, "run `git lfs pull` where the model comes from")


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


# --- a handler ----------------------------------------------------------------------------------


def _handler_problems(folder: Path) -> Iterator[Problem]:
    path = folder / HANDLER
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    # ValueError: null bytes; the last two: nested without end
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        reason = error.args[0] if error.args else "it nests too deeply"
        yield Problem(where, f"it is not Python: {reason}", "try `python handler.py`")
        return
    if HANDLER_CLASS not in _names_bound(tree):
        yield Problem(str(path), f"it has no class {HANDLER_CLASS}", f"see {GUIDE}")


def _names_bound(tree: ast.Module) -> set[str]:
    """Names that the top level of a module may bind, by class, assignment or import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.alias(name=name, asname=asname):
                names.add(asname or name)
    return names


# --- an endpoint --------------------------------------------------------------------------------


def _endpoint_problems(folder: Path) -> Iterator[Problem]:
    found = read_endpoint(folder / ENDPOINT)
    if isinstance(found, list):
        yield from found


# --- a Hugging Face folder ----------------------------------------------------------------------


def _huggingface_problems(folder: Path) -> Iterator[Problem]:
    yield from _config_problems(folder / CONFIG)
    yield from _weight_problems(folder)
    yield from _tokenizer_problems(folder)
    yield from _old_mbart_problems(folder / TOKENIZER_CONFIG)
    yield from _language_problems(folder / LANGUAGES)


def _config_problems(path: Path) -> Iterator[Problem]:
    if _is_pointer(path):
        return
    config = _json_object(path)
    if config is None:
        yield Problem(str(path), "it is not a JSON object", "save the model again")
    elif config.get("model_type") not in MODEL_TYPES:
        given = repr(config.get("model_type"))[:_SHOWN]
        reason = f"model type {given} is not one of {', '.join(MODEL_TYPES)}"
        yield Problem(str(path), reason, f"run such a model from a {HANDLER} ({GUIDE})")


def _weight_problems(folder: Path) -> Iterator[Problem]:
    if (folder / WEIGHTS_INDEX).is_file() and not (folder / WEIGHTS).is_file():
        yield from _shard_problems(folder)
    elif (folder / WEIGHTS).is_file():
        yield from _safetensors_problems(folder / WEIGHTS)
    else:
        yield _no_weights(folder)


def _no_weights(folder: Path) -> Problem:
    pickles = [path.name for path in _files(folder) if path.suffix in _PICKLES]
    if not pickles:
        return Problem(str(folder), f"it has no {WEIGHTS}", "save the model again")
    fix = "load it where you trust it and call save_pretrained: that writes safetensors"
    return Problem(
        str(folder / pickles[0]), "weights as a pickle can run any code and are never loaded", fix
    )


def _shard_problems(folder: Path) -> Iterator[Problem]:
    path = folder / WEIGHTS_INDEX
    table = (_json_object(path) or {}).get("weight_map")
    if not isinstance(table, dict) or not table:
        yield Problem(str(path), "it names no weight files", "save the model again")
        return
    for name in sorted({str(name) for name in table.values()}):
        if not _SHARD.fullmatch(name):
            reason = f"{name[:_SHOWN]!r} is not the name of a safetensors file beside it"
            yield Problem(str(path), reason, "save the model again")
        elif not (folder / name).is_file():
            yield Problem(str(folder / name), f"it is missing, though {path.name} names it")
        else:
            yield from _safetensors_problems(folder / name)


def _safetensors_problems(path: Path) -> Iterator[Problem]:
    if _is_pointer(path):
        return
    reason = safetensors_problem(path)
    if reason:
        yield Problem(str(path), reason, "fetch or save the file again")


def _tokenizer_problems(folder: Path) -> Iterator[Problem]:
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        wanted = "; or ".join(" and ".join(names) for names in _TOKENIZERS)
        yield Problem(str(folder), "it has no tokenizer", f"add {wanted}")


def _old_mbart_problems(path: Path) -> Iterator[Problem]:
    """An mBART of before mBART-50 has the same model type, and would be told its target wrongly."""
    config = _json_object(path) if path.is_file() else None
    if str((config or {}).get("tokenizer_class")) in ("MBartTokenizer", "MBartTokenizerFast"):
        reason = "it is an mBART of before mBART-50, which starts its translations otherwise"
        yield Problem(str(path), reason, f"run such a model from a {HANDLER} ({GUIDE})")


def _language_problems(path: Path) -> Iterator[Problem]:
    if not path.is_file():
        return
    table = _json_object(path)
    if table is None or not all(isinstance(code, str) for code in table.values()):
        yield _bad_languages(path)


def _bad_languages(path: Path) -> Problem:
    return Problem(str(path), "it is not a JSON object of texts", 'write e.g. {"eng": "en"}')


def _json_object(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_JSON))
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    return found if isinstance(found, dict) else None
