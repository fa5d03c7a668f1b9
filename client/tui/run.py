"""Chat on the whole screen."""

from datetime import datetime

from tsudoi import ChatClient
from tsudoi.protocol.client.words import Language

from ..history import open_history
from .app import ChatApp
from .sessions import Connect


async def chat_on_screen(first: ChatClient, is_host: bool, connect: Connect, language: Language, mouse: bool) -> None:
    """Let the user chat until the user quits; then leave all rooms."""
    app = ChatApp(
        connect,
        str(first.server),
        language,
        open_history(),
        lambda: datetime.now().astimezone(),
        (first, is_host),
    )
    try:
        await app.run_async(mouse=mouse)
    finally:
        await app.sessions.leave_all()
