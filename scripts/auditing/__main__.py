"""Looks every lock up in the first advisory database that answers, and ends with a verdict.

python -m auditing PIP_AUDIT LOCK ...

A lock is one of pip's, or a package-lock.json of npm's. Exits with 0 when no hole is known, 1 when
one is, and 9 when something could not be looked up. Only the standard library is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from auditing.lookups import NotLookedUp, PipAudit, Told, npm

_HOLES = 1
_NOT_LOOKED_UP = 9


def main(program: str, locks: list[str]) -> int:
    """Look all of them up; whatever one says, the others are looked up too."""
    holes = 0
    unknown = 0
    service: PipAudit | NotLookedUp | None = None
    for lock in map(Path, locks):
        print(f"== {lock}", flush=True)
        try:
            if lock.name == "package-lock.json":
                told = npm(lock)
            else:
                service = service or _first_that_answers(program)
                if isinstance(service, NotLookedUp):
                    raise service
                told = service.look_up(lock)
        except NotLookedUp as error:
            told = Told([], [str(error)])
        holes += len(told.findings)
        unknown += bool(told.missing)
        _show(told)
    return _verdict(holes, unknown)


def _first_that_answers(program: str) -> PipAudit | NotLookedUp:
    refusals = []
    for name in ("pypi", "osv"):
        service = PipAudit(program, name)
        try:
            service.prove()
        except NotLookedUp as error:
            refusals.append(f"{name}: {error}")
        else:
            print(f"   (advisories of {name})", flush=True)
            return service
    return NotLookedUp("no advisory database can be reached (" + "; ".join(refusals) + ")")


def _show(told: Told) -> None:
    for finding in told.findings:
        print(f"   {finding.package} {finding.version}: {finding.hole}  {finding.remedy}".rstrip())
    for reason in told.missing:
        print(f"   NOT LOOKED UP: {reason}", flush=True)


def _verdict(holes: int, unknown: int) -> int:
    if unknown:
        print(f"== audit: {unknown} locks were not looked up, or not whole")
    if holes:
        print(f"== audit: FAILED ({holes} known holes are listed above)")
        return _HOLES
    if unknown:
        print("== audit: FAILED (run this where the network reaches an advisory database)")
        return _NOT_LOOKED_UP
    print("== audit: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
