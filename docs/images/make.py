"""Act out the chat of docs/images/chat.svg in tmux and draw its screen: python -m docs.images.make (needs tmux)."""

import html
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, LINES = 118, 32
CELL = 12.2
"""Width of a column in rich's SVG."""
ALICE, BOB, SERVICE = "0", "1", "2"
BOTH = ALICE + BOB
SCENE = (  # where a line is typed, the line, what must be shown then, in which panes
    (SERVICE, "python -m gateway &", "ready", SERVICE),
    (ALICE, "python -m client create den --name alice", "F1", ALICE),
    (BOB, "python -m client join den --name bob", "F1", BOB),
    (BOB, "hello! 日本語でも大丈夫？", "大丈夫", BOTH),
    (ALICE, "はい、もちろん。Both work.", "もちろん", BOTH),
    (BOB, "what if the server crashes?", "crashes", BOTH),
    (ALICE, "watch this", "watch this", BOTH),
    (SERVICE, "kill -9 %1   # the whole service", "service", SERVICE),
    (SERVICE, "python -m gateway &", "(?s)ready.*ready", SERVICE),
    (ALICE, "まだここにいるよ", "まだここ", BOTH),
    (BOB, "me too, and nothing is lost", "me too", BOTH),
    (ALICE, "/topic tea at five", "has set the topic", BOTH),
    (BOB, "/who", "bob, silent", BOB),
    (BOB, "/msg alice is there cake?", "→ alice", BOTH),
)


def tmux(server: str, *arguments: str) -> str:
    """Run one tmux command on a tmux server of our own."""
    command = ["tmux", "-u", "-L", server, "-f", "/dev/null", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Play the scene, then write the SVG beside this file."""
    inner, outer = f"tsudoi-{os.getpid()}", f"tsudoi-outer-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        shell = (
            f"env -C {ROOT} PATH={Path(sys.executable).parent}:{os.environ['PATH']} "
            f"TSUDOI_DATA={folder} TSUDOI_TCP=127.0.0.1:9001 TSUDOI_UDP=127.0.0.1:9002 TSUDOI_LOG_LEVEL=error "
            f"XDG_STATE_HOME={folder} TERM=tmux-256color LANG=C.UTF-8 PS1='$ ' bash --norc --noprofile"
        )
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        try:
            tmux(inner, "new-session", "-d", *size, shell)
            for option in ("status off", "pane-border-style fg=brightblack", "pane-active-border-style fg=brightblack"):
                tmux(inner, "set", "-g", *option.split())
            tmux(inner, "split-window", "-v", "-l", "13", shell)
            tmux(inner, "split-window", "-h", "-t", "0.0", shell)
            for pane, line, shown, panes in SCENE:
                tmux(inner, "send-keys", "-t", f"0.{pane}", "-l", line)
                tmux(inner, "send-keys", "-t", f"0.{pane}", "Enter")
                for each in panes:
                    wait_for(inner, each, shown)
            tmux(inner, "select-pane", "-t", "0.0")
            tmux(outer, "new-session", "-d", *size, f"env -u TMUX LANG=C.UTF-8 tmux -u -L {inner} attach")
            tmux(outer, "set", "-g", "status", "off")
            time.sleep(1)
            screen = tmux(outer, "capture-pane", "-e", "-p")
        finally:
            tmux(inner, "send-keys", "-t", f"0.{SERVICE}", "kill %python; wait; exit", "Enter")
            time.sleep(2)  # until the service and the clients have ended in good order
            for server in (outer, inner):
                subprocess.run(["tmux", "-L", server, "kill-server"], check=False, capture_output=True)
    draw(screen)


def wait_for(server: str, pane: str, pattern: str, prefix: str = "0.") -> None:
    """Wait until the pane shows what the scene expects there."""
    screen = ""
    for _ in range(200):
        screen = tmux(server, "capture-pane", "-p", "-t", f"{prefix}{pane}")
        if re.search(pattern, screen):
            time.sleep(0.3)
            return
        time.sleep(0.1)
    sys.exit(f"{pattern!r} is not on the screen:\n{screen}")


def draw(screen: str) -> None:
    """Write the screen as an SVG that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen.rstrip("\n")))
    svg = console.export_svg(title="tsudoi")
    svg = re.sub(r"(?s)@font-face \{.*?\}\s*", "", svg).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    svg = re.sub(r'textLength="[\d.]+"( clip-path="[^"]+">)([^<]+)<', widen, svg)
    Path(__file__).with_name("chat.svg").write_text(svg, encoding="utf-8")


def widen(found: re.Match[str]) -> str:
    """Give Japanese text the width of its cells; rich counts characters."""
    return f'textLength="{cell_len(html.unescape(found[2])) * CELL:.1f}"{found[1]}{found[2]}<'


if __name__ == "__main__":
    main()
