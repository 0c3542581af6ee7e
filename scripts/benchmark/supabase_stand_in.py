"""The stand-in for a Supabase project that the tests use, for as long as this runs.

    python -m benchmark.supabase_stand_in FILE

Its Postgres is a real one. Once it answers, the file has the environment that names it, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from benchmark.books_load import USERS
from tests.fakes.supabase_project import FakeSupabaseProject


async def stand_in(file: Path) -> None:
    """Stand in until SIGTERM: the Postgres goes away with this process only when it ends well."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with FakeSupabaseProject() as project:
        for number, user in enumerate(USERS):
            await project.add_user(user, f"somebody-{number}@example.org")
        environment = {
            "SUPABASE_URL": project.url,
            "SUPABASE_SERVICE_ROLE_KEY": project.service_role_key,
        }
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(environment))
        unfinished.replace(file)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(stand_in(Path(sys.argv[1])))
