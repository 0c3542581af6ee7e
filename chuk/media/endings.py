"""What names end in, besides the names of the formats themselves."""

from __future__ import annotations

OTHER_ENDINGS = {
    "docx": "docm dotx dotm",
    "doc": "dot",
    "pptx": "pptm ppsx ppsm potx potm",
    "ppt": "pps pot",
    "xlsx": "xlsm xltx xltm",
    "xls": "xlt",
    "odt": "ott",
    "ods": "ots",
    "odp": "otp",
    "jpg": "jpeg jpe jfif",
    "tiff": "tif",
    "heic": "heif",
    "ogg": "oga opus",
    "m4a": "mp4 m4b",
    "webm": "weba mkv mka",
    "wav": "wave",
    "html": "htm xhtml",
    "eml": "mht mhtml",
    "csv": "tsv tab",
    "json": "jsonl ndjson geojson",
    "xml": "xsd xsl xslt svg plist kml gpx",
    "rss": "atom rdf",
    "text": "txt md markdown mdown rst adoc org log tex bib srt vtt ics vcf nfo",
    "code": (
        "py pyi pyw ipy js mjs cjs jsx ts mts tsx java kt kts scala groovy c h cc cpp cxx hh hpp"
        " hxx m mm cs fs vb go rs rb php pl pm lua r jl swift dart ex exs erl hrl hs ml mli clj"
        " cljs lisp el scm sh bash zsh fish ps1 bat cmd sql graphql proto css scss sass less vue"
        " svelte astro yaml yml toml ini cfg conf env properties gradle cmake make mk dockerfile"
        " tf hcl nix zig nim v sv vhd vhdl asm s f f90 f95 pas d sol diff patch jinja j2 erb tmpl"
    ),
}
"""Format: the endings, apart by spaces."""

CODE_NAMES = frozenset({"makefile", "dockerfile", "jenkinsfile", "rakefile", "gemfile", "justfile"})
