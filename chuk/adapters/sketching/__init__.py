"""How `local-sketch` draws: words to a theme, a theme to layers, layers to pixels."""
