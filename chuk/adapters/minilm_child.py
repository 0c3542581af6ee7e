"""The embedded embedding model itself: a small BERT in numpy, run as `chuk.adapters.child` says.

A request has `model` (its folder) and `texts`; the answer `vectors`, each the base64 of its 32-bit
little-endian floats, and `tokens`, of all texts together. What the wheel was made for would bring
PyTorch along, which is gigabytes for six layers of multiplications.

https://arxiv.org/abs/1810.04805 (BERT), https://arxiv.org/abs/1908.10084 (mean pooling)
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chuk.errors import ContextTooLong

NAME = "local/all-minilm-l6-v2"
MOST_TOKENS = 256
"""Of one text, its two marks included: so many it was trained with."""

_HEADS = 12
_EPSILON = 1e-12
# Multiplied at once, padding included: more take more memory and no less time.
_TOKENS_AT_ONCE = 1_024
_FAR_AWAY = -1e9
# The error function by a polynomial, off by 1.5e-7 at most: Abramowitz and Stegun, 7.1.26.
_STEEPNESS = 0.3275911
_POLYNOMIAL = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)

_loaded: dict[str, Model] = {}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Make a vector of each text.

    Raises:
        ContextTooLong: one of them is longer than `MOST_TOKENS`.
    """
    model = _model(request["model"])
    tokens = [found.ids for found in model.tokenizer.encode_batch(request["texts"])]
    longest = max(map(len, tokens))
    if longest > MOST_TOKENS:
        raise ContextTooLong(max_tokens=MOST_TOKENS, requested_tokens=longest, model=NAME)
    vectors: list[str] = [""] * len(tokens)
    for places in _batches(tokens):
        made = model.vectors([tokens[place] for place in places])
        for place, vector in zip(places, made, strict=True):
            vectors[place] = base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return {"vectors": vectors, "tokens": sum(map(len, tokens))}


@dataclass(frozen=True, slots=True)
class Model:
    """The weights by their names, and what cuts a text into tokens."""

    numpy: Any
    tokenizer: Any
    weights: dict[str, Any]
    layers: int

    def vectors(self, texts: Sequence[Sequence[int]]) -> Any:
        """Unit vectors of some texts' tokens."""
        np = self.numpy
        width = max(map(len, texts))
        ids = np.zeros((len(texts), width), np.int64)
        is_there = np.zeros((len(texts), width), np.float32)
        for row, tokens in enumerate(texts):
            ids[row, : len(tokens)] = tokens
            is_there[row, : len(tokens)] = 1
        unseen = (1 - is_there)[:, None, None, :] * np.float32(_FAR_AWAY)
        state = self._embedded(ids)
        for layer in range(self.layers):
            state = self._layer(state, unseen, f"encoder.layer.{layer}")
        mean = (state * is_there[:, :, None]).sum(1) / is_there.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _embedded(self, ids: Any) -> Any:
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._normal(words + places + kind, "embeddings.LayerNorm")

    def _layer(self, state: Any, unseen: Any, name: str) -> Any:
        seen = self._attention(state, unseen, f"{name}.attention.self")
        seen = self._linear(seen, f"{name}.attention.output.dense")
        state = self._normal(state + seen, f"{name}.attention.output.LayerNorm")
        inner = self._gelu(self._linear(state, f"{name}.intermediate.dense"))
        thought = self._linear(inner, f"{name}.output.dense")
        return self._normal(state + thought, f"{name}.output.LayerNorm")

    def _attention(self, state: Any, unseen: Any, name: str) -> Any:
        np = self.numpy
        texts, width, size = state.shape

        def heads(part: str) -> Any:
            split = self._linear(state, f"{name}.{part}").reshape(texts, width, _HEADS, -1)
            return split.transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((size // _HEADS) ** 0.5) + unseen
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(texts, width, size)

    def _linear(self, state: Any, name: str) -> Any:
        # As one large multiplication, not one for each text.
        flat = state.reshape(-1, state.shape[-1]) @ self.weights[f"{name}.weight"].T
        flat += self.weights[f"{name}.bias"]
        return flat.reshape(*state.shape[:-1], -1)

    def _normal(self, state: Any, name: str) -> Any:
        np = self.numpy
        centred = state - state.mean(-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(_EPSILON))
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _gelu(self, state: Any) -> Any:
        np = self.numpy
        scaled = np.abs(state)
        scaled *= np.float32(0.5**0.5)
        step = 1 / (1 + np.float32(_STEEPNESS) * scaled)
        # In place: most of the time goes into moving memory.
        total = np.zeros_like(step)
        for factor in _POLYNOMIAL:
            total += np.float32(factor)
            total *= step
        scaled *= scaled
        total *= np.exp(-scaled)
        error = np.copysign(1 - total, state)
        error += 1
        error *= state
        error *= np.float32(0.5)
        return error


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Places of texts that are about as long, so that little is padding."""
    batch: list[int] = []
    for place in sorted(range(len(texts)), key=lambda place: len(texts[place])):
        if batch and len(texts[place]) * (len(batch) + 1) > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(place)
    yield batch


def _model(folder: str) -> Model:
    """The model of this folder, loaded once."""
    if folder not in _loaded:
        path = Path(folder)
        tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(
            str(path / "tokenizer.json")
        )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        config = json.loads((path / "config.json").read_bytes())
        numpy = importlib.import_module("numpy")
        weights = _weights(numpy, path / "model.safetensors")
        _loaded[folder] = Model(numpy, tokenizer, weights, config["num_hidden_layers"])
    return _loaded[folder]


def _weights(numpy: Any, file: Path) -> dict[str, Any]:
    """Every tensor of a safetensors file, mapped and not copied.

    https://github.com/huggingface/safetensors#format
    """
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    data = numpy.memmap(file, numpy.uint8, "r", offset=8 + length)
    weights = {}
    for name, about in header.items():
        if about.get("dtype") == "F32":
            begin, end = about["data_offsets"]
            weights[name] = data[begin:end].view("<f4").reshape(about["shape"])
    return weights
