"""What runs in a short-lived child process: a file of any format becomes Markdown.

`python -m chuk.media.reading`, one process for each file, started by `chuk.adapters.children`.
Nothing here opens a connection, starts a process or follows what a document names.

The request: `path` (the file), `format` (a value of `chuk.media.formats.Format`), `name` (what
its owner calls it), `folder` (an empty folder that this child may fill) and, optionally,
`limits` (see `chuk.media.reading.budget.Budget`).

The answer: `title`, `pages` (null when unknown), `truncated`, and `parts`, a list in reading
order of
    {"text": Markdown}
    {"picture": name of a PNG in the folder}        letters to be read by the warm worker
    {"sound": name of a file in the folder, "format": a format of sound}   to be transcribed
Parts are joined by an empty line. The child itself neither reads letters in pictures nor hears:
both need models that are slow to load, so a warm worker of the parent's does it.

`python -m chuk.media.reading.letters` is that worker for pictures.
"""
