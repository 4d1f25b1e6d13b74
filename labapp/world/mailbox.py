"""The world's mailbox: ordinary SMTP, with a login whose user name is the scope.

A task reaches it as it would any relay: ``$MAIL_URL`` is ``smtp://USER:PASSWORD@HOST:PORT``, and
``smtplib`` logs in with that.  A message is one effect, however many receive it; its business key
is the header ``X-Entity-Ref-ID``, as senders of transactional mail set it, or else its subject.

A client that speaks nonsense, or nothing, or does not stop, is cut off.  Used by
``labapp.world.server`` only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from labapp.errors import LabError
from labapp.world.kinds import Kind
from labapp.world.ledger import Ended, Ledger, Visit
from labapp.world.rules import Point
from labapp.world.store import Store, scope_name

MAX_MAIL = 1024 * 1024
"""Bytes of a message."""
MAX_TALK = 4 * MAX_MAIL
"""Bytes that a client may send without being answered: beyond that it will not stop."""
MAX_RECIPIENTS = 100
MAX_CLIENTS = 100
"""Connections at the same time."""
MAX_KEY = 200
"""Characters of a business key."""
IDLE = 60.0
"""Seconds that a client may take for its next valid command; being held does not count."""
HELD = 24 * 3600.0
"""Seconds that a message may be held: as good as for ever."""
KEY_HEADERS = ("X-Entity-Ref-ID", "Subject")

log = logging.getLogger(__name__)


class Conversation(SMTP):
    """One connection.

    aiosmtpd limits lines and messages, but reads on until their end, and gathers a line that has
    none; its time-out waits for a client that does not read.  Both are cut off here.

    Args:
        mailbox: what answers.
        others: all conversations, this one among them while it lasts.
    """

    def __init__(self, mailbox: Mailbox, others: set[Conversation]) -> None:
        super().__init__(
            mailbox,
            data_size_limit=MAX_MAIL,
            enable_SMTPUTF8=True,
            hostname="world",
            ident="mailbox",
            timeout=IDLE,
            auth_require_tls=False,
            authenticator=authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._others = others
        self._unanswered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._others.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone, or was cut off."""
        self._others.discard(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take in what the client says, as long as it lets itself be answered."""
        self._unanswered += len(data)
        if self._unanswered > MAX_TALK:
            self.hang_up()
        else:
            super().data_received(data)

    async def push(self, status: Any) -> None:
        """Answer."""
        self._unanswered = 0
        await super().push(status)

    def _timeout_cb(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection at once, without a word."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Inside, no time-out: the client waits for us."""
        self._reset_timeout(HELD)
        try:
            yield
        finally:
            if self.transport is not None:
                self._reset_timeout()

    def ends(self) -> tuple[str, int]:
        """``host:port`` of the client's end, and the TCP port of this one."""
        assert self.transport is not None  # noqa: S101 - it is only asked inside a command
        host, port = self.transport.get_extra_info("peername")[:2]
        return f"{host}:{port}", int(self.transport.get_extra_info("sockname")[1])


class Busy(asyncio.Protocol):
    """What a client meets when there are too many already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse and hang up."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.7.0 too many connections, try again later\r\n")
            transport.close()


class Mailbox:
    """Takes messages; the hooks of aiosmtpd.

    Args:
        ledger: where effects are recorded.
        store: where messages lie.
    """

    def __init__(self, ledger: Ledger, store: Store) -> None:
        self.ledger = ledger
        self.store = store

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, sender: str, options: list[str]
    ) -> str:
        """Take a sender, once it is known whose run this is."""
        if not session.authenticated:
            return "530 5.7.0 log in first, with the user name and the password of $MAIL_URL"
        envelope.mail_from = sender
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient; every address is a good one."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return f"452 4.5.3 a message has at most {MAX_RECIPIENTS} recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: Conversation, session: Session, envelope: Envelope
    ) -> str:
        """Take a message: one effect."""
        content = envelope.original_content or b""
        key = key_of(BytesHeaderParser().parsebytes(content))
        if not key:
            return f"554 5.6.0 a mail needs a subject or the header {KEY_HEADERS[0]}"
        if len(key) > MAX_KEY:
            return f"554 5.6.0 what names a mail has at most {MAX_KEY} characters"
        visit = Visit(self.ledger.scope(user_of(session)), Kind.MAIL, key, *server.ends())
        try:
            with self.ledger.open(visit), server.unhurried():
                return await self._take(visit, content)
        except Ended as ended:
            if ended.status:
                return f"{ended.status} refused"
            server.hang_up()
            await asyncio.Event().wait()  # for ever: cancelled now, with the connection
            raise

    async def _take(self, visit: Visit, content: bytes) -> str:
        await self.ledger.passing(visit, Point.BEFORE)
        name = self.store.keep_mail(visit.scope.name, content)
        self.ledger.record(visit, "effect", name=name, size=len(content))
        await self.ledger.passing(visit, Point.AFTER)
        self.ledger.record(visit, "answered")
        return f"250 OK message {self.ledger.effects(visit)}"

    async def handle_exception(self, error: Exception) -> str:
        """What a client is told where its message was not taken; one line in the log."""
        if isinstance(error, OSError):
            log.error("a message was not stored: %s", error)
            return f"452 4.3.1 not stored: {error.strerror}"
        log.warning("a client was not understood: %s", type(error).__name__)
        return "500 5.5.2 not understood"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any
) -> AuthResult:
    """Let anyone in who names a scope: its name is the secret, as in ``$PARTNER_URL``."""
    if not isinstance(login, LoginPassword):
        return AuthResult(success=False, handled=False)
    try:
        scope_name(login.login.decode())
    except ValueError:
        return AuthResult(success=False, handled=False)
    return AuthResult(success=True, auth_data=login)


def user_of(session: Session) -> str:
    """The scope as which a client has logged in."""
    login: Any = session.auth_data
    return scope_name(login.login.decode())


def key_of(message: Message) -> str:
    """The business key of a message; empty where it has none."""
    return next(filter(None, (text(message[name]) for name in KEY_HEADERS)), "")


def text(header: Any) -> str:
    """A header as a person reads it, on one line; one that cannot be decoded as it came."""
    raw = str(header or "")
    with suppress(MessageError, ValueError, LookupError):
        raw = str(make_header(decode_header(raw)))
    return " ".join(raw.encode(errors="replace").decode().split())


@asynccontextmanager
async def receiving(mailbox: Mailbox, host: str, port: int) -> AsyncIterator[None]:
    """Take mail at this address for as long as the context lasts.

    Raises:
        LabError: the port is taken.
    """
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it tells every line of every client
    open_now: set[Conversation] = set()

    def answering() -> asyncio.Protocol:
        return Busy() if len(open_now) >= MAX_CLIENTS else Conversation(mailbox, open_now)

    try:
        server = await asyncio.get_running_loop().create_server(answering, host, port)
    except OSError as error:
        raise LabError(
            f"the mailbox cannot listen on {host}:{port}: {error.strerror}",
            hint="another program has the port; choose another with --smtp-port",
        ) from error
    try:
        yield
    finally:
        server.close()
        for conversation in list(open_now):
            conversation.hang_up()
