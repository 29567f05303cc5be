"""Questions to an OpenAI-compatible `chat/completions`: tries, waits, and answers that are checked.

The server may be anybody's: what it says is looked at before it is believed, shown or kept.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, BinaryIO, NoReturn

import requests
import stamina
from pydantic import BaseModel, Field, ValidationError
from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

from coordinator.domain.endpoint import Endpoint
from coordinator.domain.shown import for_terminal
from coordinator.errors import (
    BadInput,
    CoordinatorError,
    CredentialsError,
    ModelError,
    SourceUnreachable,
)
from coordinator.inference.faults import LONGEST
from coordinator.secrecy import known
from coordinator.secrecy.secret import Secret
from coordinator.storage import fetching
from coordinator.storage.connections import Session
from coordinator.storage.http import body_of, innermost

MAX_ANSWER_BYTES = 4 << 20
SAID_BYTES = 4096  # that are read of an answer that is an error
MOST_CHARACTERS_A_TOKEN = 128  # no tokenizer's longest piece is longer
THOUGHTS = "<think>", "</think>"  # around what a model says to itself, before its answer
BROKEN_OFF = ("error", "abort")  # reasons to finish of servers that gave up in the middle
SHOWN = 200  # characters of what the server says
MOST_TOKENS = 10_000_000  # that a usage may claim

Message = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    Attributes:
        text: without white space at its ends.
        tokens: how many it says that it wrote; None where it does not say.
        truncated: whether it ended because it might write no more.
    """

    text: str
    tokens: int | None
    truncated: bool


class Refused(ModelError):
    """The model will not answer this question; others it may."""


class OutOfOrder(ModelError):
    """The endpoint is not what `endpoint.json` says: no question will fare better."""


class _Busy(Exception):
    """An answer that another try may change."""

    def __init__(self, status: int, wait: float | None, said: str) -> None:
        asks = "" if wait is None else f", and asks to wait {wait:.0f} s"
        super().__init__(f"HTTP {status}{asks}{said}")
        self.wait = wait  # seconds


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


class _Bearer(requests.auth.AuthBase):
    """The key, or none: without this requests would look for one of its own in .netrc."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class Chat:
    """Asks one endpoint. Safe for many threads."""

    def __init__(self, endpoint: Endpoint, key: Secret) -> None:
        self._endpoint, self._key = endpoint, key
        self._url = f"{endpoint.url}/chat/completions"
        self._local = threading.local()  # a session is not made for many threads

    def ask(self, messages: Sequence[Message]) -> Answer:
        """The model's answer, after as many tries as the endpoint's description allows.

        Raises:
            ModelError: this question cannot be answered, or the answer cannot be used.
            OutOfOrder: no question can, for the address or the model's name is wrong.
            CredentialsError: the key is missing or refused.
            SourceUnreachable: no answer, or an overloaded server, after all tries.
        """
        try:
            for attempt in self._tries():
                with attempt:
                    return self._answer(self._asked_once(messages), messages)
        except (_Busy, requests.ConnectionError, requests.Timeout) as error:
            why = str(error) if isinstance(error, _Busy) else _plain(error)
            hint = "see whether the server runs and lets this machine in; fewer questions at a time"
            raise SourceUnreachable(f"{self._url} does not answer", why=why, hint=hint) from error
        except BadInput as error:  # the settings do not let it be asked
            raise OutOfOrder(error.what, why=error.why, hint=error.hint) from error
        except (requests.RequestException, ValueError) as error:
            raise self._wrong(_plain(error), "check the url") from error
        raise AssertionError("tries end with an answer or an error")

    def _tries(self) -> Any:
        settings = self._endpoint
        return stamina.retry_context(
            on=self._worth_a_try,
            attempts=settings.attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=max(0.5, settings.longest_wait_seconds),
        )

    def _worth_a_try(self, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds: those that the server asks for."""
        if isinstance(error, _Busy) and error.wait is not None:
            return error.wait if error.wait <= self._endpoint.longest_wait_seconds else False
        again = _Busy, requests.ConnectionError, requests.Timeout, SourceUnreachable
        return isinstance(error, again)

    def _asked_once(self, messages: Sequence[Message]) -> bytes:
        """The body of a good answer."""
        settings = self._endpoint
        body = {
            "model": settings.model,
            "messages": list(messages),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "stream": False,
        }
        response = self._session().post(
            self._url,
            json=body,
            auth=_Bearer(self._key),
            stream=True,
            allow_redirects=False,  # the key is for this address
            timeout=(fetching.CONNECT_SECONDS, settings.timeout_seconds),
        )
        if response.status_code != 200:
            self._refuse(response)
        return self._body(response)

    def _body(self, response: requests.Response) -> bytes:
        try:
            with body_of(response, self._url, MAX_ANSWER_BYTES) as body:
                return body.read()
        except BadInput as error:
            raise self._useless(error.why) from error

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = Session()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            self._local.session = session
        found: requests.Session = self._local.session
        return found

    def _refuse(self, response: requests.Response) -> NoReturn:
        """Raises what an answer with another status than 200 means."""
        status, said = response.status_code, _said(body_of(response, self._url, MAX_ANSWER_BYTES))
        if status in (408, 409, 425, 429) or status >= 500:
            raise _Busy(status, _wait_of(response), said)
        if status in (401, 402):
            raise self._no_leave(status, said)
        if status in (404, 405) or 300 <= status < 400:
            raise self._wrong(f"HTTP {status}{said}", "check url and model in endpoint.json")
        hint = "see what it answers: `coordinator test-handler`"
        raise ModelError(f"{self._url} refuses the question", why=f"HTTP {status}{said}", hint=hint)

    def _no_leave(self, status: int, said: str) -> CredentialsError:
        """The key is refused, or nothing is left of what was paid: true of every question."""
        variable = self._endpoint.api_key_variable
        name = f"the key in {variable}" if variable else "a question without a key"
        hint = f"see {variable or 'api_key_variable in endpoint.json'}; keys lie in secrets.env"
        if status == 402:
            hint = "see whether the account that is asked to pay has anything left"
        return CredentialsError(
            f"{self._url} refuses {name}", why=f"HTTP {status}{said}", hint=hint
        )

    def _wrong(self, why: str, hint: str) -> OutOfOrder:
        return OutOfOrder(f"{self._url} cannot be asked", why=why, hint=hint)

    def _answer(self, body: bytes, messages: Sequence[Message]) -> Answer:
        """Raises ModelError: it is no answer to these messages, or none that can be used."""
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError as error:
            [fault, *_] = error.errors(include_url=False, include_input=False)
            raise self._useless(f"{'.'.join(map(str, fault['loc']))} {fault['msg']}") from None
        choice = completion.choices[0]
        text = (choice.message.content or "").strip()
        if choice.message.refusal or choice.finish_reason == "content_filter":
            why = _shown(choice.message.refusal or choice.finish_reason or "")
            hint = '"refusals": "empty" in endpoint.json leaves such lines empty'
            raise Refused(f"{self._url} refuses to answer", why=why, hint=hint)
        if choice.finish_reason in BROKEN_OFF:
            raise _Busy(200, None, f": the server broke off its answer ({choice.finish_reason})")
        self._check(text, "".join(message["content"] for message in messages))
        return Answer(text, _written(completion.usage), choice.finish_reason == "length")

    def _check(self, text: str, asked: str) -> None:
        if not text:
            raise self._useless("it is empty")
        if any(mark in text and mark not in asked for mark in THOUGHTS):
            hint = "turn them off, or let the server keep them apart (a reasoning parser)"
            raise self._useless("the model's thoughts stand in it, between <think> marks", hint)
        if len(text) > self._endpoint.max_tokens * MOST_CHARACTERS_A_TOKEN:
            raise self._useless(f"{len(text):,} characters are more than max_tokens allows")
        if self._key and self._key.reveal() in text:
            raise self._useless("it holds the key")

    def _useless(
        self, why: str, hint: str = "see what it answers: `coordinator test-handler`"
    ) -> ModelError:
        return ModelError(f"{self._url} gave no usable answer", why=_shown(why), hint=hint)


def _written(usage: Any) -> int | None:
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and 0 <= tokens <= MOST_TOKENS else None


def _wait_of(response: requests.Response) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None = it asks for nothing."""
    header = response.headers.get("retry-after")
    try:
        return float(Retry().parse_retry_after(header[:100])) if header else None
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _said(body: BinaryIO) -> str:
    """The beginning of what an error says, for a message; "" where it cannot be read."""
    try:
        with body:
            text = body.read(SAID_BYTES).decode("utf-8", "replace").strip()
    except CoordinatorError:
        return ""
    return f": {_shown(text)}" if text else ""


def _shown(text: str) -> str:
    """As much of what the server says as may be shown; the key may be in it."""
    clean = for_terminal(known.mask.text(text))
    return clean if len(clean) <= SHOWN else f"{clean[:SHOWN]}..."


def _plain(error: Exception) -> str:
    return _shown(innermost(error)[:LONGEST])
