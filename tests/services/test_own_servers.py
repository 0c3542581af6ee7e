"""Servers of one's own in `config/models.toml`, checked when it is read."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from chuk.catalog.models import Pricing
from chuk.catalog.own_servers import OwnServer, is_private
from chuk.catalog.selection import SelectionError, read_models_file

SHIPPED = Path(__file__).parents[2] / "config" / "models.toml"
SERVER = '[upstreams.mine]\nurl = "http://127.0.0.1:8000/v1/"\n'
MODEL = '[[upstreams.mine.models]]\nname = "Qwen/Qwen3-8B"\ncontext_length = 32768\n'


def read(folder: Path, text: str) -> tuple[OwnServer, ...]:
    """The servers in a file with this text."""
    file = folder / "models.toml"
    file.write_text(text, "utf-8")
    return read_models_file(file).servers


def test_the_shipped_file_names_none_and_its_example_is_valid(tmp_path: Path) -> None:
    assert read_models_file(SHIPPED).servers == ()
    _, _, rest = SHIPPED.read_text("utf-8").partition("# [upstreams.")
    example = "[upstreams." + rest.replace("\n# ", "\n").replace("\n#\n", "\n\n")
    (server,) = read(tmp_path, example)
    (model,) = server.models
    assert (server.name, server.url, server.api_key_env, server.is_zdr) == (
        "mine",
        "http://10.0.0.5:8000/v1",
        "MY_SERVER_KEY",
        True,
    )
    assert server.names == {"mine/qwen3-8b": "Qwen/Qwen3-8B"}
    assert (model.id, model.name, model.upstream) == ("mine/qwen3-8b", "Qwen3 8B", "mine")
    assert model.efforts == frozenset({"low", "medium", "high"})
    (provider,) = model.providers
    assert provider.pricing == Pricing(
        Decimal("0.0000001"), Decimal("0.0000004"), cache_read=Decimal("0.00000002")
    )
    assert provider.supports("tools") and not provider.supports("logprobs")


def test_little_need_be_said(tmp_path: Path) -> None:
    (server,) = read(tmp_path, SERVER + MODEL)
    (model,) = server.models
    assert server.url == "http://127.0.0.1:8000/v1"
    assert (model.id, model.name) == ("mine/Qwen/Qwen3-8B", "Qwen/Qwen3-8B")
    assert not model.supports_vision and model.efforts is None
    (provider,) = model.providers
    assert provider.pricing == Pricing() and provider.supports("anything")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SERVER, "upstreams.mine.models"),
        (SERVER + "models = []", "upstreams.mine.models"),
        (MODEL, "upstreams.mine.url"),
        (SERVER.replace("http:", "ftp:") + MODEL, "upstreams.mine.url"),
        (SERVER.replace("mine", "openrouter") + MODEL.replace("mine", "openrouter"), "taken"),
        (SERVER.replace("mine", '"My server"') + MODEL.replace("mine", '"My server"'), "lower"),
        (SERVER + 'secret = "x"\n' + MODEL, "upstreams.mine.secret"),
        (SERVER + 'api_key_env = "a key"\n' + MODEL, "upstreams.mine.api_key_env"),
        (SERVER + MODEL + "prompt = -1\ncompletion = 1", "prompt"),
        (SERVER + MODEL + "prompt = 1", "prompt"),
        (SERVER + MODEL + 'efforts = ["most"]', "efforts"),
        (SERVER + MODEL + MODEL, "two models"),
        (SERVER + MODEL.replace("32768", '"much"'), "context_length"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SelectionError) as caught:
        read(tmp_path, text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://192.168.1.7/v1", True),
        ("https://api.example/v1", False),
        ("https://localhost.example/v1", False),
        ("https://1.1.1.1/v1", False),
    ],
)
def test_only_a_private_address_is_surely_ones_own(url: str, expected: bool) -> None:
    assert is_private(url) is expected
