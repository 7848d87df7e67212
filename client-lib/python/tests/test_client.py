import concurrent.futures
import os
import signal
import threading

import pytest

import plugind
from plugind import Code

TIMEOUT = 30


def invoke(client, name, request=b"", **options):
    options.setdefault("timeout", TIMEOUT)
    return client.invoke("text", f"/test.Test/{name}", request, **options)


def metadata_seen(client, **options):
    lines = invoke(client, "Metadata", **options).decode().splitlines()
    return {name: bytes.fromhex(value) for name, value in (line.split("=") for line in lines)}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_go_there_and_back(client, kind):
    data = "héllo\0wörld".encode()
    assert invoke(client, "Echo", kind(data)) == data


def test_an_empty_message_is_a_message(client):
    assert invoke(client, "Echo", b"") == b""


def test_sixteen_mib_go_both_ways(client):
    data = os.urandom(16 * 1024 * 1024)
    assert invoke(client, "Reverse", data) == data[::-1]


def test_the_plugin_is_named_in_the_metadata(client):
    assert metadata_seen(client)["plugind-plugin"] == b"text"


def test_no_plugin_leaves_the_choice_to_the_daemon(client):
    reply = client.invoke(None, "/test.Test/Metadata", b"", timeout=TIMEOUT)
    assert b"plugind-plugin" not in reply


@pytest.mark.parametrize("wrap", [dict, list], ids=["mapping", "pairs"])
def test_metadata_is_sent(client, wrap):
    metadata = wrap([("x-text", "plain"), ("x-data-bin", b"\0\xff")])
    seen = metadata_seen(client, metadata=metadata)
    assert (seen["x-text"], seen["x-data-bin"]) == (b"plain", b"\0\xff")


@pytest.mark.parametrize("name, value", [("X-Upper", "v"), ("x-text", "two\nlines"), ("", "v")])
def test_metadata_that_grpc_forbids_is_refused(client, name, value):
    with pytest.raises(plugind.Error) as caught:
        invoke(client, "Echo", metadata={name: value})
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert repr(name) in caught.value.message


def test_an_error_carries_code_reason_and_message(client):
    with pytest.raises(plugind.Error) as caught:
        invoke(client, "Fail")
    error = caught.value
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "TEST_REASON")
    assert error.message == "the tëst failed"
    assert str(error) == "INVALID_ARGUMENT (TEST_REASON): the tëst failed"


def test_an_error_without_details_has_no_reason(client):
    with pytest.raises(plugind.Error) as caught:
        invoke(client, "FailPlain")
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "")
    assert str(caught.value) == "NOT_FOUND: no such thing"


def test_a_call_ends_at_its_timeout_and_the_client_goes_on(client):
    with pytest.raises(plugind.Error) as caught:
        invoke(client, "Wait", timeout=0.05)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert invoke(client, "Echo", b"on") == b"on"


def test_signals_of_the_host_do_not_disturb_a_call(client):
    arrived = []
    previous = signal.signal(signal.SIGALRM, lambda *_: arrived.append(1))
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        with pytest.raises(plugind.Error) as caught:
            invoke(client, "Wait", timeout=0.2)
        data = os.urandom(16 * 1024 * 1024)
        assert invoke(client, "Reverse", data) == data[::-1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert arrived


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_could_mean_forever_is_refused(client, timeout):
    with pytest.raises(ValueError, match="timeout"):
        invoke(client, "Echo", timeout=timeout)


def test_a_zero_byte_in_a_name_is_refused(client):
    with pytest.raises(ValueError, match="zero byte"):
        client.invoke("te\0xt", "/test.Test/Echo", b"")


def test_many_threads_call_at_once_on_one_client(client):
    # Each call is answered when all 32 are there: a held interpreter lock would stop the first.
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        meetings = [threads.submit(invoke, client, "Meet", b"32") for _ in range(32)]
        assert [meeting.result() for meeting in meetings] == [b"32"] * 32
        data = [os.urandom(1000 + i) for i in range(500)]
        assert list(threads.map(lambda d: invoke(client, "Reverse", d), data)) == [
            d[::-1] for d in data
        ]


def test_a_server_that_dies_is_an_answer_and_its_successor_is_found(mortal_server):
    with plugind.connect(mortal_server.address) as client:
        with pytest.raises(plugind.Error) as caught:
            invoke(client, "Exit")
        assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "DAEMON_GONE")
        mortal_server.wait_for_end()
        with pytest.raises(plugind.Error) as caught:
            invoke(client, "Echo")
        assert caught.value.code == Code.UNAVAILABLE
        mortal_server.start()
        assert invoke(client, "Echo", b"back") == b"back"


def test_connect_says_where_no_daemon_answers(tmp_path):
    path = f"{tmp_path}/none.sock"
    with pytest.raises(plugind.Error) as caught:
        plugind.connect(path)
    assert caught.value.code == Code.UNAVAILABLE
    assert path in caught.value.message


def test_connect_refuses_an_address_it_cannot_understand():
    with pytest.raises(plugind.Error) as caught:
        plugind.connect("carrier-pigeon:coop")
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_connect_reads_the_environment(shared_server, monkeypatch):
    monkeypatch.setenv("PLUGIND_SOCKET", shared_server.address)
    with plugind.connect() as client:
        assert invoke(client, "Echo", b"x") == b"x"


def test_a_closed_client_refuses_calls(shared_server):
    client = plugind.connect(shared_server.address)
    client.close()
    client.close()
    with pytest.raises(plugind.Error) as caught:
        invoke(client, "Echo")
    assert caught.value.code == Code.FAILED_PRECONDITION


def test_close_lets_a_call_in_flight_finish(shared_server):
    client = plugind.connect(shared_server.address)
    results = []

    def call():
        try:
            results.append(invoke(client, "Wait", timeout=0.5))
        except plugind.Error as error:
            results.append(error.code)

    thread = threading.Thread(target=call)
    thread.start()
    while not client._calls and thread.is_alive():
        pass
    before = open_sockets()
    client.close()
    thread.join(TIMEOUT)
    assert results == [Code.DEADLINE_EXCEEDED]
    assert open_sockets() < before


def test_a_dropped_client_closes_its_connection(shared_server):
    client = plugind.connect(shared_server.address)
    before = open_sockets()
    del client
    assert open_sockets() < before


def open_sockets():
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except FileNotFoundError:  # the listing's own descriptor
            pass
    return count


def test_a_child_of_fork_has_to_connect_for_itself(client, shared_server):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                answer = invoke(client, "Echo", b"inherited")
            except plugind.Error as error:
                answer = error.code.name.encode()
            with plugind.connect(shared_server.address) as own:
                os.write(write, answer + b" " + invoke(own, "Echo", b"own"))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"FAILED_PRECONDITION own"
    os.waitpid(child, 0)
    assert invoke(client, "Echo", b"parent") == b"parent"
