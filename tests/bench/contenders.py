"""Who is compared, and with which loads."""

import os
from typing import Dict, List, NamedTuple, Optional, Tuple

from processes import Contender, Load, Middle, PrivateDaemon, daemon_pid
from proxies import Plugins, Proxies

KIB, MIB = 1 << 10, 1 << 20


def unary(size: int, in_flight: int) -> Load:
    return Load("unary", size, in_flight)


ONE, MANY = unary(100, 1), unary(100, 32)
MAIN = (ONE, MANY)
IN_FLIGHT = (1, 8, 32, 256)
SMALL = (unary(100, 8), unary(100, 256)) + tuple(unary(4 * KIB, many) for many in IN_FLIGHT)
LARGE = tuple(unary(size, many) for size in (64 * KIB, MIB) for many in IN_FLIGHT)
MORE = SMALL + LARGE
DOWN, THERE_AND_BACK = Load("server-stream", MIB, 1), Load("bidi", MIB, 1)
STREAMS = (Load("server-stream", 100, 1), Load("server-stream", 100, 8), Load("bidi", 100, 1),
           Load("bidi", 100, 8), DOWN, THERE_AND_BACK)
# A look at the others, too.
QUICK = (unary(4 * KIB, 1), unary(64 * KIB, 8), unary(MIB, 1)) + STREAMS
# What fits into the buffers of sockets.
RAW = tuple(load for load in MAIN + MORE if load.size * load.in_flight <= 128 * KIB)


# Streams of 1 MiB messages, more than any buffer on their way takes, on the connection of the calls.
UNREAD = 4


class Variant(NamedTuple):
    """plugind with other options: a daemon of its own, called by libplugind and by grpc++."""
    key: str
    about: str
    options: Tuple[str, ...]
    loads: Tuple[Load, ...] = MAIN


VARIANTS = (
    Variant("sleeping", "with --busy-poll 0us", ("--busy-poll", "0us")),
    Variant("workers-2", "with --workers 2", ("--workers", "2")),
)

# What a proxy's contenders are called in the tables.
PROXIES = {"relay": "a relay of bytes", "proxy": "a grpc++ proxy", "nginx": "nginx",
           "haproxy": "HAProxy"}


class Scene(NamedTuple):
    """What contenders are made of; all of it runs."""
    build: str
    go_worker: Optional[str]
    kv_plugin: str
    daemon: PrivateDaemon
    variants: Dict[str, PrivateDaemon]
    unread: PrivateDaemon  # whose host has streams that it does not read, all the time
    plugins: Plugins
    proxies: Proxies

    def _program(self, name: str) -> str:
        return os.path.join(self.build, "tests", "bench", name)

    def raw(self, hops: int) -> List[str]:
        return [self._program("bench_raw_socket"), "--hops", str(hops)]

    def grpcpp(self, socket: str, service: str = "echo", unread: int = 0) -> List[str]:
        return [self._program("bench_grpcpp"), "--address", "unix:" + socket,
                "--service", service, "--unread", str(unread)]

    def libplugind(self, socket: str, service: str, plugin: str = "",
                   calls: str = "pending") -> List[str]:
        command = [self._program("bench_libplugind"), "--address", socket, "--service", service,
                   "--calls", calls]
        return command + (["--plugins", plugin] if plugin else [])

    def go(self, socket: str, service: str = "kv") -> List[str]:
        return [self.go_worker or "", "--mode", "stubs", "--address", "unix:" + socket,
                "--service", service]


def contenders(scene: Scene) -> List[Contender]:
    """In the order of the tables: the floor, the C++ plugin, the Go plugin."""
    return [
        Contender("raw-1-hop", "bytes over a Unix socket", scene.raw(1), RAW),
        Contender("raw-2-hops", "bytes over two, by a relay", scene.raw(2), RAW),
    ] + _of_echo(scene) + (_of_kv(scene) if scene.go_worker else [])


def _of_echo(scene: Scene) -> List[Contender]:
    middle = Middle("plugind", daemon_pid(scene.daemon))
    every = MAIN + MORE + STREAMS
    found = [
        Contender("grpc++-direct", "(d) grpc++ to the C++ plugin",
                  scene.grpcpp(scene.plugins.sockets["echo"]), every),
        Contender("grpc++-plugind", "(e) grpc++ through plugind to the C++ plugin",
                  scene.grpcpp(scene.daemon.plugin_socket("echo")), every, middle),
    ]
    found.append(Contender("grpc++-unread", f"(e) beside {UNREAD} streams that its host does not read",
                           scene.grpcpp(scene.unread.plugin_socket("echo"), unread=UNREAD), (MANY,),
                           Middle("plugind-unread", daemon_pid(scene.unread))))
    for variant in VARIANTS:
        daemon = scene.variants[variant.key]
        found.append(Contender(f"grpc++-{variant.key}", "  the same " + variant.about,
                               scene.grpcpp(daemon.plugin_socket("echo")), variant.loads,
                               Middle("plugind-" + variant.key, daemon_pid(daemon))))
    found += _through_proxies(scene, "grpc++", "echo", every)
    found.append(Contender("libplugind-echo", "libplugind through plugind to the C++ plugin",
                           scene.libplugind(scene.daemon.socket, "echo", "echo"), MAIN + MORE,
                           middle))
    if scene.go_worker:
        found += [
            Contender("grpc-go-echo-direct", "grpc-go to the C++ plugin",
                      scene.go(scene.plugins.sockets["echo"], "echo"), MAIN),
            Contender("grpc-go-echo", "grpc-go through plugind to the C++ plugin",
                      scene.go(scene.daemon.plugin_socket("echo"), "echo"), MAIN + MORE, middle),
        ]
    return found


def _of_kv(scene: Scene) -> List[Contender]:
    middle = Middle("plugind", daemon_pid(scene.daemon))
    every = MAIN + MORE
    found = [
        Contender("go-plugin-direct", "(a) go-plugin host to the Go plugin",
                  [scene.go_worker or "", "--mode", "go-plugin", "--plugin", scene.kv_plugin],
                  every),
        Contender("libplugind-plugind", "(b) libplugind through plugind to the Go plugin",
                  scene.libplugind(scene.daemon.socket, "kv", "kv"), every, middle),
    ]
    for variant in VARIANTS:
        daemon = scene.variants[variant.key]
        found.append(Contender(f"libplugind-{variant.key}", "  the same " + variant.about,
                               scene.libplugind(daemon.socket, "kv", "kv"), variant.loads,
                               Middle("plugind-" + variant.key, daemon_pid(daemon))))
    found += [
        Contender("libplugind-threads", "  the same with a thread for each call in flight",
                  scene.libplugind(scene.daemon.socket, "kv", "kv", "blocking"), MAIN, middle),
        Contender("grpc-go-plugind", "(c) grpc-go through plugind to the Go plugin",
                  scene.go(scene.daemon.plugin_socket("kv")), every, middle),
        Contender("grpc++-kv-direct", "grpc++ to the Go plugin",
                  scene.grpcpp(scene.plugins.sockets["kv"], "kv"), MAIN),
        Contender("grpc++-kv", "grpc++ through plugind to the Go plugin",
                  scene.grpcpp(scene.daemon.plugin_socket("kv"), "kv"), every, middle),
    ]
    return found + _through_proxies(scene, "libplugind", "kv", every)


def _through_proxies(scene: Scene, host: str, plugin: str,
                     loads: Tuple[Load, ...]) -> List[Contender]:
    found = []
    for proxy, about in PROXIES.items():
        middle = scene.proxies.middles.get(f"{proxy}-{plugin}")
        if middle is None:
            continue
        socket = scene.proxies.socket(proxy, plugin)
        command = (scene.grpcpp(socket) if host == "grpc++" else
                   scene.libplugind(socket, plugin))
        language = "C++" if plugin == "echo" else "Go"
        found.append(Contender(f"{host}-{proxy}", f"{host} through {about} to the {language} plugin",
                               command, loads, middle))
    return found
