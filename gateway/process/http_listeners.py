"""Open the listeners for webhooks and for browsers, if the settings ask for some.

The packages h11 and websockets are imported only then.
"""

from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..join.admission import AdmissionRules
from ..listeners.options import HttpListener
from ..listeners.tls import Certificate

if TYPE_CHECKING:
    from ..listeners.web import WebServer
    from ..listeners.webhook import WebhookServer

logger = logs.get("gateway")


class HttpListeners:
    """The listeners for HTTP of one gateway."""

    _webhook: "WebhookServer | None"
    _web: "WebServer | None"

    def __init__(
        self,
        config: Config,
        rules: AdmissionRules,
        settle: Callable[[], None],
        certificate: Certificate | None,
    ) -> None:
        """Open nothing yet. `settle` sends the broker pending frames; TLS listeners need a `certificate`."""
        self.webhooks: list[HttpListener] = []
        """Those that are open; so are the next ones."""
        self.web: list[HttpListener] = []
        self._config = config
        self._webhook = self._web = None
        if config.webhook and rules.verifier is not None:
            from ..listeners.webhook import WebhookServer
            from ..webhook.rules import Rules

            _warn_of_clear_text(config.webhook, "webhooks' tokens")
            webhook_rules = Rules(
                config.settings, rules.counters, rules.verifier, rules.passwords, rules.core.rate_keys
            )
            self._webhook = WebhookServer(webhook_rules, rules.core.routes, settle, certificate)
        if config.web:
            from ..listeners.web import WebServer

            _warn_of_clear_text(config.web, "passwords of rooms")
            self._web = WebServer(rules, config.web_origin, settle, certificate)

    @property
    def web_connections(self) -> int:
        """How many connections the web listeners have."""
        return 0 if self._web is None else self._web.connections

    async def open(self) -> None:
        """Open them; raise SettingError if an address can not be bound."""
        config, inherited = self._config, self._config.inherited
        if self._webhook is not None:
            descriptors = inherited.webhook if inherited else (None,) * len(config.webhook)
            for both in zip(config.webhook, descriptors, strict=True):
                self.webhooks.append(await self._webhook.open(*both))
        if self._web is not None:
            descriptors = inherited.web if inherited and inherited.web else (None,) * len(config.web)
            for listener, descriptor in zip(config.web, descriptors, strict=False):
                assert listener is not None
                try:
                    self.web.append(await self._web.open(listener, descriptor))
                except SettingError as exc:
                    if not config.web_is_default:
                        raise
                    warn_of_no_page(exc)

    def close(self, grace_s: float) -> list[Coroutine[Any, Any, None]]:
        """Return what ends the servers; they answer for `grace_s` more."""
        return [server.close(grace_s) for server in (self._webhook, self._web) if server is not None]


def warn_of_no_page(exc: SettingError) -> None:
    """Log that the port of the page, which the settings do not name, is taken."""
    logger.warning("there is no page for browsers: name another address with --web", why=str(exc))


def _warn_of_clear_text(listeners: Sequence[HttpListener | None], what: str) -> None:
    for listener in listeners:
        if listener is not None and not listener.tls and not ip_address(listener.host).is_loopback:
            logger.warning(f"{what} come in clear text: use tls=on, or a proxy", listener=str(listener))
