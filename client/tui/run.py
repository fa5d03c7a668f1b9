"""Chat on the whole screen."""

import asyncio
from datetime import datetime

from tsudoi import ChatClient
from tsudoi.ops import standard_streams
from tsudoi.protocol.client.words import Language

from .. import words
from ..error_words import not_kept
from ..history import open_history
from .app import ChatApp
from .sessions import Connect


async def chat_on_screen(
    first: ChatClient, is_host: bool, connect: Connect, wished: str, language: Language, mouse: bool
) -> None:
    """Let the user, who asks for the name `wished`, chat until the user quits; then leave all rooms."""
    app = ChatApp(
        connect,
        wished,
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
        app.stop_reading()
        if app.sessions.unsettled:
            standard_streams.complain(words.WAITING.text(language, count=len(app.sessions.unsettled)))
        try:
            await app.sessions.leave_all()
        finally:  # also if the user does not wait for it and presses Ctrl-C
            for text in not_kept(list(app.sessions.unsettled.values()), language):
                standard_streams.complain(text)
