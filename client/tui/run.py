"""Chat on the whole screen."""

import asyncio
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
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError  # a signal; Textual ends without telling
    finally:
        await app.sessions.leave_all()
