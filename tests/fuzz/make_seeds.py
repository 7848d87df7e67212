#!/usr/bin/env python3
"""Writes the seeds of the fuzzers: a few honest conversations.

usage: make_seeds.py DIRECTORY   (DIRECTORY/session and DIRECTORY/codecs are made)
"""
import pathlib
import struct
import sys

END_STREAM, END_HEADERS, ACK = 1, 4, 1
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def literal(name, value):
    """A header field without indexing (RFC 7541 section 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def feed(data):
    """The operations of session_fuzz.cc that feed `data`."""
    result = b""
    while data:
        # A length is 4n + 1.
        count = min((len(data) - 1) // 4, 127)
        size = count * 4 + 1
        result += bytes([128 + count]) + data[:size]
        data = data[size:]
    return result


REQUEST = b"".join(literal(*pair) for pair in [
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"),
    (b":authority", b"localhost"), (b"te", b"trailers"), (b"x-raw-bin", b"AAEC")])
RESPONSE = literal(b":status", b"200") + literal(b"content-type", b"application/grpc")
TRAILERS = literal(b"grpc-status", b"0")
MESSAGE = b"\0\0\0\0\5hello"
HELLO = frame(SETTINGS, 0, 0, b"\0\3\0\0\0\2") + frame(SETTINGS, ACK, 0)
SERVER, PREFACE, TIGHT = 1, 2, 4
OPEN, ANSWER, APPEND, FINISH, FINISH_TRAILERS, RESET, CONSUME = range(7)
DRAIN = bytes([10, 0, 255])

ANSWERED = bytes([ANSWER, 0, 1, APPEND, 0, 3, FINISH_TRAILERS, 0]) + DRAIN
UNARY = (frame(HEADERS, END_HEADERS, 1, REQUEST) + frame(DATA, END_STREAM, 1, MESSAGE))
ANSWER_1 = (frame(HEADERS, END_HEADERS, 1, RESPONSE) + frame(DATA, 0, 1, MESSAGE) +
            frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS))

SESSION = {
    "server_unary": bytes([SERVER | PREFACE]) + feed(HELLO + UNARY) + ANSWERED,
    "server_tight": bytes([SERVER | PREFACE | TIGHT]) + feed(HELLO + UNARY) + ANSWERED +
                    bytes([CONSUME, 0, 255]),
    "server_continuation": bytes([SERVER | PREFACE]) + feed(
        HELLO + frame(HEADERS, 0, 1, REQUEST[:20]) + frame(CONTINUATION, END_HEADERS, 1,
                                                           REQUEST[20:])) + ANSWERED,
    "server_reset": bytes([SERVER | PREFACE]) + feed(
        HELLO + frame(HEADERS, END_HEADERS, 1, REQUEST) +
        frame(RST_STREAM, 0, 1, b"\0\0\0\x08")) + DRAIN,
    "server_goaway": bytes([SERVER | PREFACE]) + feed(HELLO + UNARY) + bytes([8, 0, 9, 0]) + DRAIN,
    "server_wide_window": bytes([SERVER | PREFACE | TIGHT]) + feed(
        HELLO + UNARY + frame(WINDOW_UPDATE, 0, 0, b"\0\x7f\0\0") +
        frame(WINDOW_UPDATE, 0, 1, b"\0\x7f\0\0")) +
        bytes([ANSWER, 0, 1] + [APPEND, 0, 255] * 4 + [FINISH_TRAILERS, 0]) + DRAIN,
    "server_ping": bytes([SERVER | PREFACE]) + feed(
        HELLO + frame(PING, 0, 0, b"12345678") + frame(WINDOW_UPDATE, 0, 0, b"\0\1\0\0")) + DRAIN,
    "client_unary": bytes([0, OPEN, 0, 1, APPEND, 0, 200, FINISH, 0]) + DRAIN +
                    feed(HELLO + ANSWER_1) + DRAIN,
    "client_informational": bytes([0, OPEN, 0, 0]) + DRAIN + feed(
        HELLO + frame(HEADERS, END_HEADERS, 1, literal(b":status", b"103")) + ANSWER_1) + DRAIN,
    "client_goaway": bytes([0, OPEN, 0, 0, OPEN, 0, 0]) + DRAIN + feed(
        HELLO + frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0") + ANSWER_1) + DRAIN,
    "client_tight_reset": bytes([TIGHT, OPEN, 0, 1]) + DRAIN + feed(HELLO) +
                          bytes([RESET, 0, 8]) + DRAIN,
}

INFO = b"\x0a\x04GONE\x12\x07plugind\x1a\x0c\x0a\x06plugin\x12\x02kv"
ANY = b"\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12" + bytes([len(INFO)]) + INFO
CODECS = {
    "base64": b"\0Zm9vYg==",
    "percent": b"\x01100%25 %C3%A4",
    "timeout": b"\x025000m",
    "framing": b"\x03" + MESSAGE + b"\x01\0\0\0\0",
    "details": b"\x04\x08\x0e\x12\x02hi\x1a" + bytes([len(ANY)]) + ANY,
}


def main():
    for name, seeds in (("session", SESSION), ("codecs", CODECS)):
        directory = pathlib.Path(sys.argv[1], name)
        directory.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (directory / seed).write_bytes(data)


if __name__ == "__main__":
    main()
