"""What the stand-in for OpenRouter offers: a few models, priced and routed like real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_TEXT_PARAMETERS = ("max_tokens", "temperature", "top_p", "stop", "seed")
_REASONING_PARAMETERS = (*_TEXT_PARAMETERS, "reasoning", "include_reasoning")
_TOOL_PARAMETERS = ("tools", "tool_choice", "response_format", "structured_outputs")


@dataclass
class FakeEndpoint:
    """One provider's endpoint. Prices are strings, as on the wire: US dollars per token.

    `lacks` names what it does not understand, though others do for the same model.
    """

    provider_name: str
    tag: str
    prompt: str
    completion: str
    zdr: bool = True
    trains_on_prompts: bool = False
    quantization: str = "unknown"
    context_length: int = 131_072
    max_completion_tokens: int | None = None
    extra_prices: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()

    @property
    def provider_slug(self) -> str:
        """The provider without the endpoint's own part: `deepinfra` of `deepinfra/fp8`."""
        return self.tag.partition("/")[0]

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """What it charges, in US dollars."""
        return Decimal(self.prompt) * prompt_tokens + Decimal(self.completion) * completion_tokens


@dataclass
class FakeModel:
    """A model and everybody who serves it."""

    id: str
    name: str
    endpoints: list[FakeEndpoint]
    canonical_slug: str = ""
    description: str = "A model for tests."
    context_length: int = 131_072
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    supported_parameters: tuple[str, ...] = _TEXT_PARAMETERS
    is_moderated: bool = False
    reasoning: Mapping[str, Any] | None = None

    def endpoint(self, tag: str) -> FakeEndpoint:
        """The endpoint with this tag."""
        return next(endpoint for endpoint in self.endpoints if endpoint.tag == tag)

    def listing(self) -> dict[str, Any]:
        """Its entry in `GET /models`."""
        first = self.endpoints[0] if self.endpoints else None
        return {
            "id": self.id,
            "canonical_slug": self.canonical_slug or self.id,
            "hugging_face_id": "",
            "name": self.name,
            "created": 1_745_875_945,
            "description": self.description,
            "context_length": self.context_length,
            "architecture": self._architecture(),
            "pricing": {
                "prompt": first.prompt if first else "-1",
                "completion": first.completion if first else "-1",
            },
            "top_provider": {
                "context_length": first.context_length if first else None,
                "max_completion_tokens": first.max_completion_tokens if first else None,
                "is_moderated": self.is_moderated,
            },
            "per_request_limits": None,
            "supported_parameters": list(self.supported_parameters),
            **({} if self.reasoning is None else {"reasoning": dict(self.reasoning)}),
        }

    def page(self) -> dict[str, Any]:
        """Its `GET /models/{author}/{slug}/endpoints`."""
        return {
            "id": self.id,
            "name": self.name,
            "created": 1_745_875_945,
            "description": self.description,
            "architecture": self._architecture(),
            "endpoints": [self.endpoint_entry(endpoint) for endpoint in self.endpoints],
        }

    def endpoint_entry(self, endpoint: FakeEndpoint) -> dict[str, Any]:
        """One endpoint, as the model's page and the ZDR list show it."""
        return {
            "name": f"{endpoint.provider_name} | {self.canonical_slug or self.id}",
            "model_id": self.id,
            "model_name": self.name,
            "context_length": endpoint.context_length,
            "pricing": {
                "prompt": endpoint.prompt,
                "completion": endpoint.completion,
                "request": "0",
                "image": "0",
                "discount": 0,
                **endpoint.extra_prices,
            },
            "provider_name": endpoint.provider_name,
            "tag": endpoint.tag,
            "quantization": endpoint.quantization,
            "max_completion_tokens": endpoint.max_completion_tokens,
            "max_prompt_tokens": None,
            "supported_parameters": [
                name for name in self.supported_parameters if name not in endpoint.lacks
            ],
            "status": 0,
            "uptime_last_30m": 99.8,
            "supports_implicit_caching": False,
        }

    def _architecture(self) -> dict[str, Any]:
        inputs, outputs = "+".join(self.input_modalities), "+".join(self.output_modalities)
        return {
            "modality": f"{inputs}->{outputs}",
            "input_modalities": list(self.input_modalities),
            "output_modalities": list(self.output_modalities),
            "tokenizer": "Other",
            "instruct_type": None,
        }


def default_models() -> list[FakeModel]:
    """A fresh set that a test may change as it likes.

    Four text models can be listed: `qwen/qwen3-32b` (reasoning; three ZDR endpoints, one of a
    usually blocked provider and one without tools, and one that is not ZDR), `google/gemma-3-27b-it` (vision),
    `meta-llama/llama-3.3-70b-instruct` (two endpoints of one provider, only one of them ZDR) and
    `openai/gpt-oss-20b`. `deepseek/deepseek-chat-v3.1` has no ZDR endpoint, `openrouter/auto` is
    a router with a price of -1, `black-forest-labs/flux.2-pro` makes pictures.
    """
    return [
        FakeModel(
            id="qwen/qwen3-32b",
            canonical_slug="qwen/qwen3-32b-04-28",
            name="Qwen: Qwen3 32B",
            description="A dense model of 32.8 billion parameters that can think first.",
            supported_parameters=(*_REASONING_PARAMETERS, *_TOOL_PARAMETERS),
            endpoints=[
                FakeEndpoint(
                    "Groq", "groq", "0.00000029", "0.00000059", max_completion_tokens=40_960
                ),
                FakeEndpoint(
                    "DeepInfra",
                    "deepinfra/fp8",
                    "0.0000001",
                    "0.00000028",
                    quantization="fp8",
                    context_length=40_960,
                    lacks=_TOOL_PARAMETERS,
                ),
                FakeEndpoint(
                    "Chutes",
                    "chutes/bf16",
                    "0.00000003",
                    "0.00000013",
                    quantization="bf16",
                    context_length=40_960,
                ),
                FakeEndpoint(
                    "Nebius",
                    "nebius/base",
                    "0.0000001",
                    "0.0000003",
                    zdr=False,
                    trains_on_prompts=True,
                ),
            ],
        ),
        FakeModel(
            id="google/gemma-3-27b-it",
            name="Google: Gemma 3 27B",
            description="An open multimodal model.",
            input_modalities=("text", "image"),
            endpoints=[
                FakeEndpoint(
                    "DeepInfra",
                    "deepinfra/bf16",
                    "0.00000009",
                    "0.00000016",
                    quantization="bf16",
                    max_completion_tokens=16_384,
                    extra_prices={"image": "0.0000256"},
                ),
                FakeEndpoint("Parasail", "parasail/fp8", "0.00000008", "0.00000045"),
            ],
        ),
        FakeModel(
            id="meta-llama/llama-3.3-70b-instruct",
            name="Meta: Llama 3.3 70B Instruct",
            is_moderated=True,
            endpoints=[
                FakeEndpoint("DeepInfra", "deepinfra/turbo", "0.0000001", "0.00000032", zdr=False),
                FakeEndpoint("DeepInfra", "deepinfra/fp8", "0.00000023", "0.0000004"),
                FakeEndpoint("Groq", "groq", "0.00000059", "0.00000079"),
            ],
        ),
        FakeModel(
            id="openai/gpt-oss-20b",
            name="OpenAI: gpt-oss-20b",
            supported_parameters=_REASONING_PARAMETERS,
            endpoints=[
                FakeEndpoint("Groq", "groq", "0.000000075", "0.0000003", context_length=131_072)
            ],
        ),
        FakeModel(
            id="deepseek/deepseek-chat-v3.1",
            name="DeepSeek: DeepSeek V3.1",
            endpoints=[
                FakeEndpoint("DeepSeek", "deepseek", "0.00000027", "0.000001", zdr=False),
            ],
        ),
        FakeModel(
            id="openrouter/auto",
            name="Auto Router",
            endpoints=[FakeEndpoint("OpenRouter", "openrouter", "-1", "-1")],
        ),
        FakeModel(
            id="black-forest-labs/flux.2-pro",
            name="Black Forest Labs: FLUX.2 Pro",
            input_modalities=("text", "image"),
            output_modalities=("image",),
            endpoints=[FakeEndpoint("Black Forest Labs", "black-forest-labs", "0", "0.0000036")],
        ),
    ]
