#!/usr/bin/env python3
"""Runs pgsetup in a container and writes what a terminal shows as an animated SVG: docs/assets/pgsetup.svg.

The scenes are a plan, a mistake in a manifest, and an installation. Everything is printed by the real binary; only the waiting
between two lines is shortened. The SVG needs no script and no font of its own. Where animation is off, the first scene is shown.

    record.py [--binary FILE] [--base IMAGE] [--cache VOLUME] [--vendor DIR]
"""

import argparse
import html
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
COLUMNS, ROWS = 100, 26
FONT_SIZE, CHARACTER, LINE = 14, 8.4, 19
PADDING, BAR = 16, 34
# Seconds: the longest wait between two lines, the wait after a command and at the end of a scene.
MAX_WAIT, AFTER_COMMAND, AFTER_SCENE = 0.5, 0.9, 4.0

COLOURS = {
    30: "#484f58", 31: "#ff7b72", 32: "#3fb950", 33: "#d29922", 34: "#58a6ff", 35: "#bc8cff", 36: "#39c5cf", 37: "#b1bac4",
    90: "#6e7681", 91: "#ffa198", 92: "#56d364", 93: "#e3b341", 94: "#79c0ff", 95: "#d2a8ff", 96: "#56d4dd", 97: "#f0f6fc",
}  # fmt: skip
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")

SELECTION = '--extensions "pgvector pg_cron"'
SCENES = [
    {"commands": [f"pgsetup plan manifests {SELECTION}"], "terminal": True, "fast": True},
    {"commands": ["sed -i 's/sha256: /sha265: /' manifests/extensions/pgvector.yaml", "pgsetup plan --with pg_corn"], "terminal": True},
    {"commands": [f"pgsetup install {SELECTION}"], "terminal": False},
]  # fmt: skip
# Options of a command that the viewer need not see, and what is undone between two scenes.
HIDDEN_OPTIONS = {"pgsetup install": "--vendor /vendor"}
UNDO = "sed -i 's/sha265: /sha256: /' manifests/extensions/pgvector.yaml"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def start(options):
    """A container with pgsetup, the manifests and a cache; gives its id."""
    mounts = [f"{options.binary.resolve()}:/usr/local/bin/pgsetup:ro", f"{PROJECT}/manifests:/manifests:ro", f"{options.cache}:/var/cache/pgsetup"]
    if options.vendor.is_dir():
        mounts.append(f"{options.vendor}:/vendor:ro")
    environment = [f"COLUMNS={COLUMNS}", "TERM=xterm-256color"]
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        mounts.append(f"{certificates}:/run/ca-certificates.pem:ro")
        environment.append("SSL_CERT_FILE=/run/ca-certificates.pem")
    arguments = [f"--volume={mount}" for mount in mounts] + [f"--env={variable}" for variable in environment]
    container = docker("run", "--detach", "--init", "--network=host", *arguments, options.base, "sleep", "infinity")
    docker("exec", container, "mkdir", "-p", "/work", "/vendor")
    docker("exec", container, "cp", "-r", "/manifests", "/work/manifests")
    return container


def run(container, command, terminal):
    """Runs a command; gives each line that it prints, with the time of the line since the command began."""
    for prefix, options in HIDDEN_OPTIONS.items():
        command = re.sub(f"^{prefix}", f"{prefix} {options}", command)
    arguments = ["docker", "exec", "--workdir=/work", *(["--tty"] if terminal else []), container, "bash", "-c", f"exec 2>&1; {command}"]
    began = time.monotonic()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in process.stdout:
            yield time.monotonic() - began, line.rstrip("\r\n")


def record(container):
    """Every line that the viewer sees: the scene, the time, and the text with its colours."""
    now, lines = 0.0, []
    for number, scene in enumerate(SCENES):
        for command in scene["commands"]:
            lines.append((number, now, f"\x1b[1;32m#\x1b[0m \x1b[1m{command}\x1b[0m"))
            now += AFTER_COMMAND
            last = 0.0
            for at, line in run(container, command, scene["terminal"]):
                now += 0.03 if scene.get("fast") else min(at - last, MAX_WAIT)
                last = at
                lines.append((number, now, line))
        now += AFTER_SCENE
        docker("exec", "--workdir=/work", container, "bash", "-c", UNDO)
    return lines, now


def runs(line):
    """The text of a line in pieces of one style: (text, colour, bold)."""
    pieces, colour, bold, position = [], None, False, 0
    for sequence in SEQUENCE.finditer(line):
        pieces.append((line[position : sequence.start()], colour, bold))
        position = sequence.end()
        if sequence.group(2) != "m":
            continue
        for code in (int(code or 0) for code in sequence.group(1).split(";")):
            if code == 0:
                colour, bold = None, False
            elif code == 1:
                bold = True
            elif code == 39:
                colour = None
            elif code in COLOURS:
                colour = COLOURS[code]
    pieces.append((line[position:], colour, bold))
    return [piece for piece in pieces if piece[0]]


def wrapped(line):
    """The rows that a terminal of this width makes of a line."""
    rows, row, room = [], [], COLUMNS
    for text, colour, bold in runs(line):
        while len(text) > room:
            row.append((text[:room], colour, bold))
            rows.append(row)
            text, row, room = text[room:], [], COLUMNS
        row.append((text, colour, bold))
        room -= len(text)
    return [*rows, row]


def span(text, colour, bold):
    attributes = f' fill="{colour}"' if colour else ""
    attributes += ' font-weight="700"' if bold else ""
    return f"<tspan{attributes}>{html.escape(text, quote=False)}</tspan>"


def svg(lines, length):
    """The picture: every row once, shown from its time on, and a column that is moved up as a terminal scrolls."""
    texts, styles, moves, row, top, current = [], [], [(0.0, 0)], 0, 0, 0
    for scene, at, line in lines:
        if scene != current:
            current, top = scene, row
            moves.append((at, top))
        for pieces in wrapped(line):
            spans = "".join(span(*piece) for piece in pieces)
            width = sum(len(text) for text, _, _ in pieces) * CHARACTER
            if pieces:
                texts.append(
                    f'<text class="r{row}" y="{row * LINE}" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs">{spans}</text>'
                )
                styles.append(f"@keyframes r{row}{{0%{{opacity:0}}{at / length:.3%}{{opacity:1}}}}.r{row}{{animation-name:r{row}}}")
            row += 1
            if row - top > ROWS:
                top = row - ROWS
                moves.append((at, top))
    scroll = "".join(f"{at / length:.3%}{{transform:translateY({-top * LINE}px)}}" for at, top in moves)
    width, height = COLUMNS * CHARACTER + 2 * PADDING, ROWS * LINE + BAR + PADDING
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" aria-labelledby="title">
<title id="title">A terminal: pgsetup plans an image, explains two mistakes in manifests, and installs PostgreSQL with pgvector and pg_cron</title>
<style>
text {{ fill: #c9d1d9; font: {FONT_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; white-space: pre; }}
@media (prefers-reduced-motion: no-preference) {{
text {{ animation: {length:.1f}s step-end infinite; }}
.column {{ animation: column {length:.1f}s step-end infinite; }}
@keyframes column {{ {scroll} }}
{chr(10).join(styles)}
}}
</style>
<clipPath id="screen"><rect x="0" y="{BAR}" width="{width:.0f}" height="{ROWS * LINE}"/></clipPath>
<rect width="{width:.0f}" height="{height}" rx="8" fill="#0d1117"/>
<circle cx="20" cy="17" r="6" fill="#ff5f57"/><circle cx="40" cy="17" r="6" fill="#febc2e"/><circle cx="60" cy="17" r="6" fill="#28c840"/>
<g clip-path="url(#screen)"><g transform="translate({PADDING} {BAR + FONT_SIZE})"><g class="column" xml:space="preserve">
{chr(10).join(texts)}
</g></g></g>
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--binary", type=Path, default=PROJECT / "dist/pgsetup")
    parser.add_argument("--base", default=os.environ.get("BASE") or "debian:bookworm")
    parser.add_argument("--cache", default="pgsetup-recording", help="a volume; what it lacks is compiled before the recording")
    parser.add_argument("--vendor", type=Path, default=Path(os.environ.get("VENDOR") or Path.home() / ".cache/pgsetup/vendor"))
    options = parser.parse_args()
    # So that a stop removes the container, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    container = start(options)
    try:
        print("filling the cache", file=sys.stderr)
        for _, line in run(container, SCENES[-1]["commands"][0], terminal=False):
            print(line, file=sys.stderr)
        docker("rm", "--force", container)
        container = start(options)
        lines, length = record(container)
    finally:
        docker("rm", "--force", container)
    target = PROJECT / "docs/assets/pgsetup.svg"
    target.write_text(svg(lines, length), encoding="utf-8")
    print(f"{target.relative_to(PROJECT)}: {len(lines)} lines, {length:.0f} s, {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
