"""The HTML around what is shown: one file, no network, nothing of it obeyed that came from a store."""

from __future__ import annotations

from nsdata.text import escaped

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # whatever a name holds: no script, no request

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1f; --faint: #63636e; --tile: #f1f1f4; }
@media (prefers-color-scheme: dark) {
  :root { --page: #151518; --ink: #ececf1; --faint: #a0a0ab; --tile: #232329; }
}
body { margin: 1.5rem; background: var(--page); color: var(--ink); font: 13px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.1rem; font-weight: 600; margin: 0 0 1.25rem; overflow-wrap: anywhere; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(144px, 1fr)); gap: 1.25rem .75rem; }
.pair { grid-column: span 2; display: grid; grid-template-columns: 1fr 1fr; gap: 2px; }
figure { margin: 0; min-width: 0; }
figure > div { position: relative; height: 144px; border-radius: 6px; background: var(--tile); display: grid;
  place-items: center; }
figure b { position: absolute; top: 4px; right: 4px; padding: 0 .4em; border-radius: 4px; background: #1b1b1f;
  color: #ffffff; font-size: 12px; }
figcaption { margin-top: .35rem; overflow-wrap: anywhere; }
figcaption span, figcaption small { display: block; }
figcaption small { color: var(--faint); font-size: 12px; }
"""


def page(title: str, head: str, body: str) -> str:
    """A whole document. title, head: texts; body: HTML whose texts are escaped already."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escaped(head)}</h1>
<main>
{body}</main>
</body>
</html>
"""
