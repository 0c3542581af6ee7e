"""What is wrong with a setting."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting with a value that cannot be used. Says which, why, and where it came from."""

    def __init__(self, setting: str, problem: str, source: str) -> None:
        self.setting, self.problem, self.source = setting, problem, source
        super().__init__(f"{setting}: {problem} (from {source})")
