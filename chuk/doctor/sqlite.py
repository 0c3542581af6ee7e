"""The SQLite files: whether they are whole, and what their logs have grown to."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from chuk.adapters.sqlite import database, idempotency
from chuk.adapters.sqlite.inspection import Inspection, inspect
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn
from chuk.tls import is_readable_by_others

_NAME = "sqlite"
# Twice what the log is cut back to.
_LONG_LOG = 128 * 2**20


async def look(examined: Examined) -> list[Finding]:
    """Look at each file there is."""
    settings = examined.settings
    names = (
        [idempotency.FILE_NAME]
        if settings.supabase.service_role_key
        else [
            database.FILE_NAME,
            idempotency.FILE_NAME,
        ]
    )
    files = [settings.server.data_dir / name for name in names]
    findings = [
        finding
        for file in files
        if file.exists()
        for finding in await asyncio.to_thread(_look, file)
    ]
    return findings or [ok(_NAME, "no file is there yet")]


def _look(file: Path) -> list[Finding]:
    findings = judge(file.name, inspect(file), shutil.disk_usage(file.parent).free)
    if is_readable_by_others(str(file)):
        findings.append(fail(_NAME, f"others may read {file.name}", f"chmod 600 {file}*"))
    return findings


def judge(name: str, found: Inspection, free: int) -> list[Finding]:
    """What a look at a file means, with so many bytes free on its disk."""
    if found.trouble:
        advice = "Stop the server, copy the files away, and restore the last backup."
        return [fail(_NAME, f"{name} is damaged: {found.trouble}", advice)]
    findings = [ok(_NAME, f"{name} is whole ({found.size / 10**6:.1f} MB)")]
    if found.log_size > _LONG_LOG:
        says = f"the log beside {name} has {found.log_size / 10**6:.0f} MB"
        advice = "Somebody reads for very long: look for other programs that have the file open."
        findings.append(warn(_NAME, says, advice))
    if free < found.size + found.log_size:
        says = f"less is free on the disk of {name} than it has itself"
        findings.append(warn(_NAME, says, "Make room: a backup, or a new index, needs as much."))
    return findings
