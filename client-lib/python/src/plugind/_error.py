"""What a failed call raises."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """gRPC status codes, as https://grpc.io/docs/guides/status-codes/ numbers them."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Error(Exception):
    """A call that failed, in the plugin, in the daemon or on the way.

    `code` is a gRPC status code.  `reason` is a stable word for programs, such as
    "PLUGIN_CRASHED"; it is "" when the plugin itself answered with a status that carries none.
    `message` says what failed and what to do, for people.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(code, reason, message)
        self.code: Code = Code(code) if code in Code.__members__.values() else Code.UNKNOWN
        self.reason: str = reason
        self.message: str = message

    def __str__(self) -> str:
        where = f"{self.code.name} ({self.reason})" if self.reason else self.code.name
        return f"{where}: {self.message}"
