"""Small models made on the spot, for tests."""

import json
import math
import struct
import warnings
from pathlib import Path
from typing import Any

LINES = [
    "the house is red and the garden is green",
    "a dog sleeps in front of the door",
    "la maison est rouge et le jardin est vert",
    "un chien dort devant la porte",
]
ENDS = {"pad_token_id": 1, "eos_token_id": 2, "bos_token_id": 0, "decoder_start_token_id": 2}
SIZES: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 24,
    "init_std": 1.0,  # so that different inputs give different outputs, untrained as it is
}


def write_handler(folder: Path, body: str) -> Path:
    """A folder with a handler whose class body is `body`."""
    folder.mkdir(parents=True, exist_ok=True)
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (folder / "handler.py").write_text(f"class Handler:\n{indented}", encoding="utf-8")
    return folder


def safetensors_bytes(header: dict[str, Any] | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def one_tensor(**changes: Any) -> dict[str, Any]:
    """The header of a file with one tensor of two 32-bit floats."""
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def write_huggingface(folder: Path) -> Path:
    """A folder that passes the cheap checks; there is no real model in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "m2m_100"}')
    (folder / "model.safetensors").write_bytes(safetensors_bytes(one_tensor(), bytes(8)))
    (folder / "vocab.json").write_text("{}")
    (folder / "sentencepiece.bpe.model").write_bytes(b"pieces")
    return folder


def ctranslate2_text(text: str) -> bytes:
    return struct.pack("<H", len(text.encode()) + 1) + text.encode() + b"\0"


def ctranslate2_bytes(
    shapes: dict[str, tuple[int, ...]], aliases: dict[str, str], **changes: int
) -> bytes:
    """A `model.bin` of zeros; `changes`: the `count` of tensors, their `kind`, their `size`."""
    head = struct.pack("<I", 6) + ctranslate2_text("TransformerSpec") + struct.pack("<I", 7)
    body = struct.pack("<I", changes.get("count", len(shapes)))
    for name, shape in shapes.items():
        size = changes.get("size", 4 * math.prod(shape))
        body += ctranslate2_text(name) + struct.pack("<B", len(shape))
        body += struct.pack(f"<{len(shape)}I", *shape)
        body += struct.pack("<BI", changes.get("kind", 0), size) + bytes(size)
    pairs = [ctranslate2_text(text) for pair in aliases.items() for text in pair]
    return head + body + struct.pack("<I", len(aliases)) + b"".join(pairs)


def write_ctranslate2(folder: Path) -> Path:
    """A folder that passes the cheap checks; there is no real model in it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<s>", "</s>", "<unk>", "__en__", "__fr__"]
    shapes = {"encoder/embeddings_0/weight": (5, 2), "decoder/embeddings/weight": (5, 2)}
    family = {
        "family": "m2m100",
        "languages": {"en": "__en__", "fr": "__fr__"},
        "special_tokens": tokens[:3],
        "longest_source": 16,
        "most_new_tokens": 16,
    }
    (folder / "model.bin").write_bytes(ctranslate2_bytes(shapes, {}))
    (folder / "config.json").write_text("{}")
    (folder / "shared_vocabulary.json").write_text(json.dumps(tokens))
    (folder / "family.json").write_text(json.dumps(family))
    (folder / "sentencepiece.bpe.model").write_bytes(b"pieces")
    return folder


def make_nllb(folder: Path) -> Path:
    """An NLLB model with random weights that splits words into letters."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    letters = [*sorted({letter for line in LINES for letter in line} - {" "}), "▁"]
    vocab = {word: n for n, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = NllbTokenizer(vocab=vocab, merges=[])
    torch.manual_seed(1)
    config = M2M100Config(vocab_size=len(tokenizer), **SIZES, **ENDS)
    model = M2M100ForConditionalGeneration(config)
    return _save(model, tokenizer, folder)


def make_mbart50(folder: Path) -> Path:
    """An mBART-50 model with random weights; of its tokenizer there is SentencePiece's file."""
    import torch
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    folder.mkdir(parents=True)
    _train_pieces(folder / "sentencepiece.bpe.model")
    described = {"tokenizer_class": "MBart50Tokenizer", "src_lang": None, "tgt_lang": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    words = len(MBart50Tokenizer.from_pretrained(folder))
    torch.manual_seed(1)
    model = MBartForConditionalGeneration(MBartConfig(vocab_size=words, **SIZES, **ENDS))
    model.generation_config.max_length = 12
    model.save_pretrained(folder)
    return folder


def make_marian(folder: Path, *, pieces: tuple[str, ...] = (), **names: str) -> Path:
    """A Marian model with random weights; `pieces` are added to its vocabulary."""
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    words = _train_pieces(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    listed = ["<s>", "<pad>", "</s>", "<unk>", *words, *pieces]
    vocab = {word: n for n, word in enumerate(dict.fromkeys(listed))}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        tokenizer = MarianTokenizer(*files, **names)
    torch.manual_seed(1)
    ends = ENDS | {"decoder_start_token_id": 1, "forced_eos_token_id": 2}
    model = MarianMTModel(MarianConfig(vocab_size=len(vocab), **SIZES, **ends))
    return _save(model, tokenizer, folder)


def _train_pieces(path: Path) -> list[str]:
    import sentencepiece

    with path.open("wb") as writer:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES),
            model_writer=writer,
            vocab_size=40,
            minloglevel=2,
            hard_vocab_limit=False,
        )
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(number) for number in range(model.get_piece_size())]


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.generation_config.max_length = 12
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
