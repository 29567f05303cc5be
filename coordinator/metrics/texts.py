"""Many texts as two arrays, which can be kept in files."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack(texts: Sequence[str], name: str = "texts") -> dict[str, NDArray[Any]]:
    """`texts`: their bytes in one array, and where each begins in another (and where all end)."""
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([0, *map(len, data)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(data), dtype=np.uint8), f"{name}_at": ends}


def unpack(arrays: Mapping[str, NDArray[Any]], name: str = "texts") -> list[str]:
    """What `pack` packed."""
    data, ends = arrays[name].tobytes(), arrays[f"{name}_at"].tolist()
    return [data[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]
