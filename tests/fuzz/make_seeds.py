#!/usr/bin/env python3
"""Writes the seeds that are bytes: a few honest conversations, and what fuzzing has found.

usage: make_seeds.py DIRECTORY   (DIRECTORY/TARGET/NAME are made)

The seeds that are text are in seeds/.
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


REQUEST = b"".join(literal(*pair) for pair in [
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"),
    (b":authority", b"localhost"), (b"te", b"trailers"), (b"x-raw-bin", b"AAEC")])
RESPONSE = literal(b":status", b"200") + literal(b"content-type", b"application/grpc")
TRAILERS = literal(b"grpc-status", b"0")
MESSAGE = b"\0\0\0\0\5hello"
HELLO = frame(SETTINGS, 0, 0, b"\0\3\0\0\0\2") + frame(SETTINGS, ACK, 0)
UNARY = frame(HEADERS, END_HEADERS, 1, REQUEST) + frame(DATA, END_STREAM, 1, MESSAGE)
ANSWER_1 = (frame(HEADERS, END_HEADERS, 1, RESPONSE) + frame(DATA, 0, 1, MESSAGE) +
            frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS))

# -- server and client: see wild_session.h -------------------------------------------------------
PREFACE, TIGHT, HOLDS_PINGS = 2, 4, 8
ANSWERS, CONSUMES, FINISHES, OPENS, APPENDS, RESETS, SAYS_GOAWAY, RESUMES = (
    1 << bit for bit in range(8))
(OPEN, ANSWER, APPEND, FINISH, FINISH_TRAILERS, RESET, CONSUME, INFORMATIONAL, GOAWAY_NOTICE,
 SAY_GOAWAY, DRAIN, TERMINATE, ANSWER_PINGS, FRAME, HEADERS_FRAME, DATA_FRAME, RESUME,
 WIDE_WINDOWS) = range(18)


def op(operation, *arguments, stream=0):
    """An operation of the owner's on its stream with this index."""
    return bytes([operation, stream, *arguments])


def feed(data, most=127 * 4 + 1):
    """The operations that feed `data`, in pieces."""
    result = b""
    while data:
        count = min((min(len(data), most) - 1) // 4, 127)
        size = count * 4 + 1
        result += bytes([128 + count]) + data[:size]
        data = data[size:]
    return result


SEND_ALL = op(DRAIN, 255)
ANSWERED = op(ANSWER, 1) + op(APPEND, 3) + op(FINISH_TRAILERS) + SEND_ALL

SERVER = {
    "unary": bytes([PREFACE, 0]) + feed(HELLO + UNARY) + ANSWERED,
    "byte_by_byte": bytes([PREFACE, CONSUMES]) + feed(HELLO + UNARY, 1) + ANSWERED,
    "all_by_events": bytes([PREFACE, ANSWERS | CONSUMES | FINISHES | APPENDS]) +
                     feed(HELLO + UNARY) + SEND_ALL,
    "tight": bytes([PREFACE | TIGHT, 0]) + feed(HELLO + UNARY) + ANSWERED + op(CONSUME, 0, 255),
    "continuation": bytes([PREFACE, 0]) + feed(
        HELLO + frame(HEADERS, 0, 1, REQUEST[:20]) +
        frame(CONTINUATION, END_HEADERS, 1, REQUEST[20:])) + ANSWERED,
    "reset": bytes([PREFACE, 0]) + feed(
        HELLO + frame(HEADERS, END_HEADERS, 1, REQUEST) +
        frame(RST_STREAM, 0, 1, b"\0\0\0\x08")) + SEND_ALL,
    "data_after_reset": bytes([PREFACE, RESETS]) + feed(HELLO) + op(HEADERS_FRAME, 0, 1, 0) +
                        op(DATA_FRAME, 0, 1, 255) + SEND_ALL + op(DATA_FRAME, 0, 1, 255),
    # Without an acknowledgement of the server's SETTINGS the stream's window is wide.
    "consumed_after_reset": bytes([PREFACE | TIGHT, 0]) + feed(frame(SETTINGS, 0, 0)) +
                            op(HEADERS_FRAME, 0, 1, 0) + op(DATA_FRAME, 0, 1, 255) * 3 +
                            op(RESET, 8) + SEND_ALL + op(CONSUME, 0, 255) * 3 + SEND_ALL,
    "goaway": bytes([PREFACE, 0]) + feed(HELLO + UNARY) + op(GOAWAY_NOTICE) + op(SAY_GOAWAY) +
              SEND_ALL,
    "wide_window": bytes([PREFACE | TIGHT, 0]) + feed(HELLO + UNARY) + op(WIDE_WINDOWS) +
                   op(ANSWER, 1) + op(APPEND, 255) * 4 + op(FINISH_TRAILERS) + SEND_ALL,
    "too_large": bytes([PREFACE | TIGHT, ANSWERS]) + feed(HELLO) + op(HEADERS_FRAME, 0, 1, 4) +
                 SEND_ALL,
    "much_data": bytes([PREFACE | TIGHT, CONSUMES]) + feed(HELLO) + b"".join(
        op(HEADERS_FRAME, 0, stream, 0) + (op(DATA_FRAME, 0, stream, 15) + SEND_ALL) * 30 +
        op(DATA_FRAME, 1, stream, 1) for stream in (1, 3, 5)),
    "pings": bytes([PREFACE | HOLDS_PINGS, 0]) + feed(
        HELLO + frame(PING, 0, 0, b"12345678") * 10) + SEND_ALL + op(ANSWER_PINGS) + SEND_ALL,
}

CLIENT = {
    "unary": bytes([0, 0]) + op(OPEN, 1) + op(APPEND, 200) + op(FINISH) + SEND_ALL +
             feed(HELLO + ANSWER_1) + SEND_ALL,
    "by_events": bytes([0, CONSUMES | OPENS | APPENDS | RESUMES]) + op(OPEN, 1) + op(APPEND, 1) +
                 SEND_ALL + feed(HELLO + ANSWER_1) + SEND_ALL,
    "informational": bytes([0, 0]) + op(OPEN, 0) + SEND_ALL + feed(
        HELLO + frame(HEADERS, END_HEADERS, 1, literal(b":status", b"103")) + ANSWER_1) + SEND_ALL,
    "goaway": bytes([0, RESETS | SAYS_GOAWAY]) + op(OPEN, 0) * 2 + SEND_ALL + feed(
        HELLO + frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0") + ANSWER_1) + SEND_ALL,
    "tight_reset": bytes([TIGHT, 0]) + op(OPEN, 1) + SEND_ALL + feed(HELLO) + op(RESET, 8) +
                   SEND_ALL,
    "wide_windows": bytes([TIGHT, 0]) + op(OPEN, 1) + feed(HELLO) + op(WIDE_WINDOWS) +
                    op(APPEND, 255) * 4 + SEND_ALL * 9 + op(FINISH_TRAILERS) + SEND_ALL,
}

# -- pair: see pair_fuzz.cc ----------------------------------------------------------------------
P_OPEN, P_ANSWER, P_APPEND, P_FINISH, P_RESET, P_CONSUME, P_SOME, P_ALL, P_INFO, P_GOAWAY = range(10)
OF_SERVER, BODY, TRAILERS_TOO = 128, 1, 1
BOTH_WAYS = bytes([P_ALL, 0, 9, OF_SERVER | P_ALL, 0, 9]) * 2
CALL = bytes([P_OPEN, 0, BODY, 0])

PAIR = {
    "unary": bytes([0]) + CALL + bytes([P_APPEND, 0, 1, P_FINISH, 0, 0]) + BOTH_WAYS + bytes(
        [P_ANSWER, 0, 0, BODY, 0, OF_SERVER | P_APPEND, 0, 1, OF_SERVER | P_FINISH, 0,
         TRAILERS_TOO, 0]) + BOTH_WAYS,
    "metadata": bytes([0, P_OPEN, 0, 0, 3, 0x14]) + b"hello" + bytes([0x0e]) + b"abc" + bytes(
        [0x11]) + b"\x80\xff\t " + BOTH_WAYS,
    "tight": bytes([3]) + CALL * 5 + BOTH_WAYS + bytes([P_APPEND, 0, 40]) * 3 + bytes(
        [P_SOME, 0, 200, 3, P_CONSUME, 0, 4]) * 4,
    "answers_itself": bytes([28]) + (CALL + bytes([P_APPEND, 0, 200]) + BOTH_WAYS) * 3 + bytes(
        [OF_SERVER | P_APPEND, 0, 255, OF_SERVER | P_FINISH, 1, TRAILERS_TOO, 0]) + BOTH_WAYS,
    "reset": bytes([16]) + CALL * 2 + BOTH_WAYS + bytes([P_RESET, 0, OF_SERVER | P_RESET, 1]),
    "goaway": bytes([16]) + CALL * 2 + BOTH_WAYS + bytes([P_GOAWAY, 0, 1]) + BOTH_WAYS + bytes(
        [P_GOAWAY, 0, 0]) + CALL + BOTH_WAYS,
    # Found: the server took the call although it had said that it would not.
    "call_before_the_goaway_left": bytes([16]) + BOTH_WAYS + bytes([P_GOAWAY, 0, 0]) + CALL +
                                   BOTH_WAYS,
    # Found: the second GOAWAY allowed more than the first.
    "goaway_twice": bytes([16]) + BOTH_WAYS + bytes([P_GOAWAY, 0, 0]) + CALL + bytes(
        [P_ALL, 0, 9, P_GOAWAY, 0, 0]) + BOTH_WAYS,
    # Found: the second reset went out and ended the connection.
    "unsent_reset_twice": bytes([0]) + BOTH_WAYS + CALL + bytes([P_RESET, 0, P_RESET, 0]) +
                          BOTH_WAYS,
}

# -- codecs: see codecs_fuzz.cc ------------------------------------------------------------------
INFO = b"\x0a\x04GONE\x12\x07plugind\x1a\x0c\x0a\x06plugin\x12\x02kv"
ANY = b"\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12" + bytes([len(INFO)]) + INFO
CODECS = {
    "base64": b"\0Zm9vYg==",
    "percent": b"\x01100%25 %C3%A4",
    "timeout": b"\x025000m",
    "framing": b"\x03" + MESSAGE + b"\x01\0\0\0\0",
    "details": b"\x04\x08\x0e\x12\x02hi\x1a" + bytes([len(ANY)]) + ANY,
    "headers": b"\x05" + b"\x04\x05te:trailers" * 3,
    "queue": b"\x06" + bytes([0, 9, 0, 200, 1, 100, 2, 30, 0, 255, 3, 5, 1, 255, 2, 255]),
}

# -- router: see router_fuzz.cc; these are no text -----------------------------------------------
ROUTER = {
    # Found: such names went into messages as they were.
    "service_that_is_no_text": b"\n:path: /a\x8e/b\n",
    "plugin_that_is_no_text": b"\n:path: /a/b\nplugind-plugin: k\xff\n",
    "bound_that_is_no_text": b"\xc3\n",
    "long_message": b"\n" + "\u00e4".encode() * 1500,
}

# -- handshake: see handshake_fuzz.cc ------------------------------------------------------------
HANDSHAKE = {
    "serving": b"@o1|1|unix|/tmp/plugin1|grpc|\n@h0\x08\x01\n@s\x08\x01\x12\x06hello\n\n",
    "not_serving_first": b"@oloading\n\n@o1|1|tcp|[::1]:1234|grpc||true\n@h0\x08\x02\n"
                         b"@h5no such service\n@h0\x0a\x00\n@h0\x08\x03\n@t\n@h0\x08\x01\n",
    "much_noise": b"@pnoise\n\n@o\n1|1|unix|p|grpc\n@h0\x08\x01\n",
    "long_line": b"@p1|1|unix|x\n@o\n1|1|unix|p|grpc\n",
    "address_that_is_no_text": b"1|1|unix|/tmp/\x05\xff|grpc\n@r\n",
    # Found: whatever began with "127." was taken for an address.
    "tcp_address_with_nul": b"1|5|tcp|127.\0\x0f1:1234|grpc\n",
    "output": b"@o1|1|unix|p|grpc\n@h0\x08\x01\n@s\x08\x02\x12\x04a\nb\n\n@s\x12\x02\xff\r\n@e\x00\x7f\n",
}

# -- output: see output_fuzz.cc ------------------------------------------------------------------
OUTPUT = {
    "levels": b'\x05\xff\0\0{"@level":"warn","@message":"m"}\n2026-01-02T15:04:05Z [ERROR] kv: x\n'
              b"E0102 15:04:05.1 7 a.cc:1] x\ntime=2026 level=debug msg=m\n<3>x\n\x1b[31mWARN\x1b[0m x\n",
    "traces": b"\x05\2\0\0panic: boom\n\ngoroutine 1 [running]:\n\0between\n\0main.main()\n\t/a.go:3\n"
              b"after\nTypeError: x\n    at f (/a.js:1:2)\n[WARN] x\n\tat a.B.c(B.java:1)\n"
              b"thread 'main' panicked at a.rs:1:\nboom\nnote: x\n",
    "tracebacks": b'\x40\1\3\4Traceback (most recent call last):\n  File "a"\nValueError: x\n\n'
                  b"During handling of the above exception, another\n\n"
                  b"Traceback (most recent call last):\n  File\nKeyError: x\n[INFO] after\n",
}


def main():
    for target, seeds in (("server", SERVER), ("client", CLIENT), ("pair", PAIR),
                          ("codecs", CODECS), ("router", ROUTER), ("handshake", HANDSHAKE),
                          ("output", OUTPUT)):
        directory = pathlib.Path(sys.argv[1], target)
        directory.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (directory / seed).write_bytes(data)


if __name__ == "__main__":
    main()
