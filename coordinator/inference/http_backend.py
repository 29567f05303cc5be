"""An OpenAI-compatible endpoint as a backend: a prompt for each sentence, many at a time."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from string import Template

from coordinator.domain.endpoint import ENDPOINT, Endpoint, Prompt, read_endpoint
from coordinator.domain.model_folder import GUIDE
from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, CredentialsError, ModelError
from coordinator.inference.backend import Backend, Output, Row
from coordinator.inference.chat import Answer, Chat, OutOfOrder, Refused
from coordinator.inference.estimate import likely_tokens
from coordinator.metrics import read_languages
from coordinator.metrics.languages import UNKNOWN
from coordinator.secrecy import known
from coordinator.secrecy.secret import NO_SECRET, Secret

_TAG = re.compile(r"[A-Za-z0-9_-]{1,35}")

Question = tuple[str, str]  # what the system and what the user says
Found = Answer | ModelError


class HttpBackend:
    """Asks one question for each sentence.

    What became of the questions of the last batch is kept: where one of them fails, the engine
    sends the others once more in smaller batches, and nobody shall pay for them twice.

    Attributes:
        patience: seconds that a question may take with all its tries and waits.
    """

    device = "remote"
    mixes_directions = True
    whole_items = False

    def __init__(self, endpoint: Endpoint, prompt: Prompt, chat: Chat) -> None:
        self._endpoint, self._chat = endpoint, chat
        slowest_try = endpoint.timeout_seconds + endpoint.longest_wait_seconds
        self.patience = endpoint.attempts * slowest_try
        self._system, self._user = Template(prompt.system), Template(prompt.user)
        self._names = Names(endpoint.languages)
        self._lanes = ThreadPoolExecutor(endpoint.concurrency, thread_name_prefix="ask")
        self._found: dict[Question, Found] = {}
        self._broken: OutOfOrder | None = None

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """Rows with their questions. Raises BadInput: no name is known of a language."""
        said = {
            "source_language": self._names.find(source),
            "target_language": self._names.find(target),
            "source_code": source,
            "target_code": target,
        }
        return [self._row({**said, "sentence": text}) for text in texts]

    def _row(self, said: dict[str, str]) -> Row:
        """What is filled in is not looked at again: a `$` in a sentence is a `$`."""
        question = {"system": self._system.substitute(said), "user": self._user.substitute(said)}
        return Row(likely_tokens(said["sentence"]), question)

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """Raises as `Backend.translate` says."""
        questions = [(row.data["system"], row.data["user"]) for row in rows]
        new = [each for each in dict.fromkeys(questions) if each not in self._found]
        if new:
            self._found = {each: self._found[each] for each in questions if each in self._found}
            self._ask(new)
        return [self._output(self._found[each]) for each in questions]

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [output.data for output in outputs]

    def _ask(self, questions: Sequence[Question]) -> None:
        """Put down what becomes of each. Raises what is no fault of a single one."""
        asked = {self._lanes.submit(self._one, each): each for each in questions}
        wait(asked, return_when=FIRST_EXCEPTION)
        for future in asked:
            future.cancel()
        wait(asked)
        done = {future for future in asked if not future.cancelled()}
        good = {future for future in done if future.exception() is None}
        self._found |= {asked[future]: future.result() for future in good}
        for future in done - good:
            future.result()

    def _one(self, question: Question) -> Found:
        """The answer, or why there is none. Raises what every other question would meet too."""
        if self._broken:
            raise self._broken
        try:
            return self._chat.ask(_messages(question))
        except OutOfOrder as error:
            self._broken = error
            raise
        except Refused as error:
            return error if self._endpoint.refusals == "fail" else Answer("", None, False)
        except ModelError as error:
            return error

    def _output(self, found: Found) -> Output:
        if isinstance(found, ModelError):
            raise found
        return Output(found.tokens, found.text, found.truncated)


class Names:
    """What languages are called in a prompt."""

    def __init__(self, own: dict[str, str]) -> None:
        self._own, self._table = own, read_languages()

    def find(self, code: str) -> str:
        """The name in `endpoint.json`, else the table's, with the code where that says more.

        Raises:
            BadInput: there is none.
        """
        if code in self._own:
            return self._own[code]
        found = self._table.find(code) if _TAG.fullmatch(code) else None
        if found is None or found.name == UNKNOWN:
            raise BadInput(
                f"no name is known of the language {for_terminal(code)[:100]!r}",
                hint=f'name it in {ENDPOINT}: "languages": {{"eng": "English"}}',
            )
        return found.name if self._is_plain(code) else f"{found.name} ({code})"

    def _is_plain(self, code: str) -> bool:
        """Whether the code says no more than the name does: `eng_Latn`, but not `pt-BR`."""
        language, *rest = code.replace("_", "-").split("-")
        return code in self._table or rest in ([], [self._table.find(language).script])


def _messages(question: Question) -> list[dict[str, str]]:
    system, user = question
    told = [{"role": "system", "content": system}] if system else []
    return [*told, {"role": "user", "content": user}]


def load_endpoint(folder: Path, task: str) -> Backend:
    """The endpoint that the folder describes; nothing is asked of it yet.

    Raises:
        ModelError: the description cannot be used, or has no such task.
        CredentialsError: the variable of the key is not set.
    """
    path = folder / ENDPOINT
    endpoint = read_endpoint(path)
    if isinstance(endpoint, list):
        raise ModelError(f"{path} cannot be used", hint=f"see {GUIDE}", problems=endpoint)
    if task not in endpoint.tasks:
        there = ", ".join(for_terminal(name) for name in sorted(endpoint.tasks))
        hint = "name one: the option `task` of the pipeline's step, --task of test-handler"
        raise ModelError(f"{path} has no task {task!r}", why=f"it has {there}", hint=hint)
    key = _key(endpoint)
    return HttpBackend(endpoint, endpoint.tasks[task], Chat(endpoint, key))


def _key(endpoint: Endpoint) -> Secret:
    name = endpoint.api_key_variable
    if name is None:
        return NO_SECRET
    value = os.environ.get(name, "").strip()
    if not (value and value.isascii() and value.isprintable()):
        fault = "cannot be a key" if value else "is not set"
        hint = "put it into secrets.env, or export it where the coordinator runs"
        raise CredentialsError(f"the key of {endpoint.url} is missing: {name} {fault}", hint=hint)
    known.learn([value])
    return Secret(value)
