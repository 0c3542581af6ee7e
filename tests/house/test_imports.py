"""Who may import whom: the table of the house, checked against what the code imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CODE = Path(__file__).parents[2] / "chuk"

EVERYBODY = "errors clock counts leadership logs presence spans steps __version__"
SERVICES = "accounts billing catalog chat credits idempotency media"

# Room: what it may import besides itself and what everybody may. A name covers all below it.
ROOMS = {
    "errors": "",
    "clock": "",
    "counts": "",
    "leadership": "",
    "logs": "",
    "presence": "",
    "spans": "",
    "steps": "",
    "scratch": "",
    "console": "",
    "settings": "",
    "sd_notify": "settings",
    "listening": "settings",
    "backups": "adapters scratch",
    "accounts": "credits.money",
    "catalog": "",
    "credits": "catalog.models",
    "billing": "credits accounts",
    "chat": "credits catalog accounts.principal",
    "media": "credits catalog accounts.principal",
    "idempotency": "credits",
    # It reads what the services count; none of them knows of it.
    "metrics": f"settings web {SERVICES}",
    "web": (
        "settings accounts.bearers accounts.locks accounts.ports accounts.principal chat.events"
        " chat.ports credits.money"
    ),
    "adapters": (
        "accounts.ports accounts.principal accounts.tokens catalog.encoding catalog.models"
        " catalog.ports catalog.prices catalog.selection"
        " chat.command chat.event_codec chat.event_log chat.events chat.memory_recording chat.ports"
        " chat.recording chat.sse_parser"
        " chat.unicode_joiner credits.ports credits.ledger credits.money billing.ports"
        " media.formats media.languages media.pictures media.ports media.recording media.utterance"
        " idempotency.ports web.limits scratch"
    ),
    # The areas: each its own room. What they share is not in any of them.
    "api": f"settings web {SERVICES}",
    **{
        f"api.{area}": f"settings web {SERVICES} api.keys api.health_check api.model_list"
        " api.status_schema api.usage_schemas api.api_keys api.deletion api.once"
        " api.attached_pictures api.fields api.served_at api.spoken_answer"
        for area in ("public", "ai", "user", "stripe", "webhooks", "openai", "unconfigured")
    },
    "api.console": "settings web console",
    # These wire everything together.
    **dict.fromkeys(
        (
            *("__init__", "__main__", "app", "books", "cli", "commands", "complaints", "doctor"),
            *(
                "arrival",
                "departure",
                "entrance",
                "memory",
                "runner",
                "server",
                "supervision",
                "tls",
            ),
        ),
        "adapters api app arrival backups books cli commands complaints departure doctor entrance"
        " listening memory metrics runner scratch sd_notify server settings supervision tls web"
        f" {SERVICES}",
    ),
}

HTTP = ("aiohttp", "aiohttp_cors", "aiohttp_sse")
WITHOUT_HTTP = (
    *("errors", "clock", "counts", "leadership", "logs", "presence", "spans", "steps", "settings"),
    *SERVICES.split(),
)


def modules() -> Iterator[tuple[str, Path]]:
    """Each module's dotted name below `chuk`, and its file."""
    for file in sorted(CODE.rglob("*.py")):
        parts = file.relative_to(CODE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), file


def imports(file: Path) -> Iterator[str]:
    """Full dotted names of all that a file imports, for types only or not."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    """The longest row of the table that covers a module."""
    return max((room for room in ROOMS if covers(room, module)), key=len, default="")


def covers(name: str, module: str) -> bool:
    """Whether `module` is `name` or below it."""
    return f"{module}.".startswith(f"{name}.")


def test_each_module_has_its_room_in_the_house() -> None:
    assert [module for module, _ in modules() if not room_of(module)] == []


def test_each_room_imports_only_what_the_house_allows() -> None:
    trespasses = [
        f"{module} imports {imported}"
        for module, file in modules()
        for imported in imports(file)
        if covers("chuk", imported)
        and not any(
            covers(name, imported.removeprefix("chuk."))
            for name in [room_of(module), *EVERYBODY.split(), *ROOMS[room_of(module)].split()]
        )
    ]
    assert trespasses == []


def test_services_know_nothing_of_http() -> None:
    assert [
        f"{module} imports {imported}"
        for module, file in modules()
        for imported in imports(file)
        if room_of(module) in WITHOUT_HTTP and any(covers(name, imported) for name in HTTP)
    ] == []
