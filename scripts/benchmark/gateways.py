"""The OpenAI face beside two gateways that speak it: LiteLLM's proxy and Portkey's.

Each stands alone on the relay's core, before the same nginx, and is asked in the same words. They
check no token, keep no books and list no models of their own; this server does all of it.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmark import answers, burst, canned_upstream, contenders
from benchmark.burst import Burst
from benchmark.contenders import CHECKOUT, CHUK, Target
from benchmark.figures import BESIDE, Figure
from benchmark.plan import Plan
from benchmark.processes import Pinned, StartFailed, free_port
from benchmark.rig import Rig

_PATH = "/v1/chat/completions"
_LITELLM = "LiteLLM"
_PORTKEY = "Portkey"
# It starts with none that is shorter.
_KEY = f"sk-{'benchmark' * 8}"
_ENVIRONMENT = CHECKOUT / ".venv-gateways"
_MODULES = CHECKOUT / "scripts/gateways/node_modules"


def gateways(plan: Plan, rig: Rig) -> list[Figure]:
    """Answers a second and their processor time; the three alternate.

    Raises:
        StartFailed: a gateway is not installed, or did not come up.
    """
    folder = rig.folder / "gateways"
    folder.mkdir()
    rounds: dict[str, list[Burst]] = {}
    with ExitStack() as running:
        port = free_port()
        running.enter_context(canned_upstream.start(port, cores=rig.cores.load, folder=folder))
        targets = [
            _ours(rig, folder, port),
            _litellm(rig, folder, port),
            _portkey(rig, folder, port),
        ]
        for target in targets:
            assert target.process is not None
            running.enter_context(target.process)
        for number in range(plan.gateways_rounds):
            rig.say(f"gateways, round {number + 1} of {plan.gateways_rounds}")
            for target in (*targets, *reversed(targets)):
                rounds.setdefault(target.name, []).append(
                    burst.measure(target, seconds=plan.gateways_seconds, cores=rig.cores.load)
                )
    figures = []
    for name in (_LITELLM, _PORTKEY):
        figures += [
            Figure(
                f"gateways_answers_per_second_{name.lower()}",
                f"whole answers of {_PATH}",
                "streams/s",
                {
                    CHUK: _median(rounds[CHUK], "streams_per_second"),
                    BESIDE: _median(rounds[name], "streams_per_second"),
                },
                beside=name,
            ),
            Figure(
                f"gateways_cpu_ms_{name.lower()}",
                f"CPU of an answer of {_PATH}",
                "ms",
                {
                    CHUK: _median(rounds[CHUK], "cpu_ms_per_stream"),
                    BESIDE: _median(rounds[name], "cpu_ms_per_stream"),
                },
                beside=name,
            ),
        ]
    return figures


def _median(rounds: list[Burst], name: str) -> float:
    return statistics.median(getattr(each, name) for each in rounds)


def _ours(rig: Rig, folder: Path, port: int) -> Target:
    made = contenders.start_chuk(
        ["-m", "chuk", "serve"], port, cores=rig.cores.relay, folder=folder
    )
    return Target(CHUK, made.port, _PATH, made.headers, made.process, is_openai=True)


def _litellm(rig: Rig, folder: Path, upstream_port: int) -> Target:
    program = _ENVIRONMENT / "bin/litellm"
    configuration = folder / "litellm.yaml"
    upstream = contenders.upstream_url(upstream_port)
    parameters = {"model": f"openai/{answers.MODEL}", "api_base": upstream, "api_key": "x"}
    # JSON is YAML.
    configuration.write_text(
        json.dumps({"model_list": [{"model_name": answers.MODEL, "litellm_params": parameters}]})
    )
    port = free_port()
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1"]
    process = _started(
        _LITELLM,
        program,
        [*command, "--port", str(port), "--num_workers", "1", "--telemetry", "False"],
        port,
        rig,
        folder,
        # The list of prices that comes with it; else it would ask the network at start.
        {
            "LITELLM_MASTER_KEY": _KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
        },
    )
    return Target(
        _LITELLM, port, _PATH, (("Authorization", f"Bearer {_KEY}"),), process, is_openai=True
    )


def _portkey(rig: Rig, folder: Path, upstream_port: int) -> Target:
    program = _MODULES / "@portkey-ai/gateway/build/start-server.js"
    port = free_port()
    process = _started(
        _PORTKEY,
        program,
        ["node", str(program), f"--port={port}", "--headless"],
        port,
        rig,
        folder,
        {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"},
    )
    headers = (
        ("Authorization", "Bearer x"),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", contenders.upstream_url(upstream_port)),
    )
    return Target(_PORTKEY, port, _PATH, headers, process, is_openai=True)


def _started(
    name: str,
    program: Path,
    command: list[str],
    port: int,
    rig: Rig,
    folder: Path,
    environment: Mapping[str, str],
) -> Pinned:
    if not program.exists():
        raise StartFailed(f"{name} is not installed: scripts/bench --only gateways does that")
    process = Pinned(
        name,
        command,
        cores=rig.cores.relay,
        folder=folder,
        environment={**environment, "PATH": os.environ["PATH"]},
        home=folder,
    )
    contenders.await_port(process, port, seconds=120)
    return process
