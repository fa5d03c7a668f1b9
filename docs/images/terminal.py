"""Act out a chat of two terminal clients in tmux and write their screens into docs/terminal.md and docs/terminal.ja.md.

python -m docs.images.terminal (needs tmux; it uses the ports 9001 and 9002)
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from docs.images.make import ROOT, tmux, wait_for

PAGES = (ROOT / "docs" / "terminal.md", ROOT / "docs" / "terminal.ja.md")
SIZES = {"a": (80, 18), "b": (40, 18), "c": (80, 18)}
"""Window → columns and lines: alice, bob in a narrow terminal, and ハナコ, whose client speaks Japanese."""
SCENE = (  # the window, what is typed there, what must be shown then, and where
    ("a", "python -m client create den --name alice", "F1", "a"),
    ("b", "python -m client join den --name 'bob b'", "F1", "b"),
    ("c", "LANG=ja_JP.UTF-8 python -m client join den --name ハナコ", "F1", "c"),
    ("a", "/topic tea at five お茶は五時から", "has set", "ab"),
    ("b", "hello! 日本語でも大丈夫？", "大丈夫", "abc"),
    ("c", "もちろん。alice、いる？", "いる", "abc"),
    ("a", "yes, a little late 👍🏽", "late", "abc"),
    ("a", "/create kitchen", "kitchen is open", "a"),
    ("b", "/msg alice is there cake?", "cake", "b"),
    ("b", "/me waits for cake", "waits", "bc"),
    ("a", "/go den", "waits", "a"),
    ("b", "/msg alice (there is)", "there is", "ab"),
)


def main() -> None:
    """Play the scene, then write the screens into the page."""
    server = f"tsudoi-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        shell = (
            f"env -C {ROOT} PATH={Path(sys.executable).parent}:{os.environ['PATH']} XDG_STATE_HOME={folder} "
            "TERM=tmux-256color LANG=C.UTF-8 PS1='$ ' bash --norc --noprofile"
        )
        service = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--data", folder, "--tcp", "127.0.0.1:9001", "--udp", "127.0.0.1:9002"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert service.stdout is not None
            service.stdout.readline()
            for window, (columns, lines) in SIZES.items():
                tmux(server, "new-session", "-d", "-s", window, "-x", str(columns), "-y", str(lines), shell)
                tmux(server, "set", "-t", window, "status", "off")
            for window, line, shown, windows in SCENE:
                tmux(server, "send-keys", "-t", f"={window}:", "-l", line)
                tmux(server, "send-keys", "-t", f"={window}:", "Enter")
                for each in windows:
                    wait_for(server, f"={each}:", shown, prefix="")
            screens = [tmux(server, "capture-pane", "-p", "-t", f"={window}:") for window in SIZES]
        finally:
            subprocess.run(["tmux", "-L", server, "kill-server"], check=False, capture_output=True)
            service.terminate()
            service.wait()
    blocks = iter(screens)
    for page in PAGES:
        text = page.read_text("utf-8")
        text = re.sub(r"(?s)```text\n.*?```", lambda _: f"```text\n{_trimmed(next(blocks))}```", text)
        page.write_text(text, "utf-8")


def _trimmed(screen: str) -> str:
    return "\n".join(line.rstrip() for line in screen.rstrip("\n").splitlines()) + "\n"


if __name__ == "__main__":
    main()
