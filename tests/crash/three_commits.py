"""Commits three rows, each in the way it is told, and says after each that it has."""

from __future__ import annotations

import sqlite3
import sys


def main(way: str) -> None:
    """`way`: statement, cursor, method or block."""
    connection = sqlite3.connect("rows.db", isolation_level=None)
    connection.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER)")
    for number in (1, 2, 3):
        connection.execute("BEGIN IMMEDIATE")
        # Looks alone are not counted.
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows VALUES (?)", (number,))
        match way:
            case "statement":
                connection.execute("COMMIT")
            case "cursor":
                connection.cursor().execute("commit;")
            case "method":
                connection.commit()
            case "block":
                with connection:
                    connection.execute("SELECT 1")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
