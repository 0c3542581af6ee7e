"""Transport only: parse, call one service, render. One nested sub-application for each area."""
