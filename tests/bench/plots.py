"""The plots of docs/performance.md, by gnuplot; the same figures give the same bytes."""

import os
import subprocess
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from contenders import IN_FLIGHT, MANY, ONE, unary
from measure import Row
from processes import DaemonError, Load
from scaling import CONNECTIONS, LOADS, PLUGINS

TIMEOUT = 60  # seconds for one plot


class Line(NamedTuple):
    key: str
    title: str
    colour: str


GREY, BLUE, ORANGE, GREEN, PURPLE, SKY = ("#6b6b6b", "#1f6fd6", "#d9772b", "#3c9a4c", "#8b5fb5",
                                          "#6fb3e8")
CPP = (Line("grpc++-direct", "grpc++, direct", GREY),
       Line("grpc++-plugind", "grpc++, plugind", BLUE),
       Line("libplugind-echo", "libplugind, plugind", SKY),
       Line("grpc++-proxy", "grpc++, grpc++ proxy", ORANGE),
       Line("grpc++-nginx", "grpc++, nginx", GREEN),
       Line("grpc++-haproxy", "grpc++, HAProxy", PURPLE))
GO = (Line("go-plugin-direct", "go-plugin, direct", GREY),
      Line("libplugind-plugind", "libplugind, plugind", BLUE),
      Line("grpc-go-plugind", "grpc-go, plugind", SKY),
      Line("libplugind-proxy", "libplugind, grpc++ proxy", ORANGE),
      Line("libplugind-nginx", "libplugind, nginx", GREEN),
      Line("libplugind-haproxy", "libplugind, HAProxy", PURPLE))
HOSTS = (("the C++ plugin", CPP), ("the Go plugin", GO))

BY_NUMBER = tuple(unary(100, count) for count in IN_FLIGHT)
SIZES = tuple(unary(size, 1) for size in (100, 4 << 10, 64 << 10, 1 << 20))

HEAD = """\
set terminal svg size {width},{height} noenhanced font "sans-serif,13" background rgb "white"
set output "{output}"
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror
set grid ytics back lt 1 lc rgb "#d0d0d0" lw 0.7
set multiplot layout 1,2
"""


class Figures:
    def __init__(self, rows: Sequence[Row]):
        self._value = {(row.contender, row.load, row.metric): row.value for row in rows}

    def get(self, key: str, load: Load, metric: str) -> Optional[float]:
        return self._value.get((key, load.name, metric))

    def points(self, key: str, loads: Sequence[Load], metric: str,
               x: Sequence[float]) -> List[Tuple[float, float]]:
        found = ((at, self.get(key, load, metric)) for at, load in zip(x, loads))
        return [(at, value) for at, value in found if value is not None]


def _block(name: str, lines: Sequence[str]) -> str:
    return f"${name} << EOD\n" + "".join(line + "\n" for line in lines) + "EOD\n"


def latency(figures: Figures, output: str) -> str:
    """p50 and p99, a panel for each load, a row for each contender."""
    every = [line for _, lines in HOSTS for line in lines]
    text = HEAD.format(width=1100, height=440, output=output)
    text += ("set lmargin 25\nset logscale x\nset key off\nset format x \"%g\"\n"
             f"set yrange [-0.8:{len(every) + 0.8}]\n"
             "set grid noytics xtics\nset rmargin 5\n")
    for load in (ONE, MANY):
        data, ticks = [], []
        for place, line in enumerate(reversed(every)):
            p50, p99 = (figures.get(line.key, load, metric) for metric in ("p50", "p99"))
            if p50 is None or p99 is None:
                continue
            at = place + (0 if line in GO else 1)  # a gap between the plugins
            data.append(f"{at} {p50:.1f} {p99:.1f} {line.colour.replace('#', '0x')}")
            ticks.append(f'"{line.title}, {"Go" if line in GO else "C++"}" {at}')
        if not data:
            continue
        name = f"d{load.in_flight}"
        text += _block(name, data)
        text += (f'set title "{load.in_flight} in flight: p50 to p99, µs"\n'
                 f"set ytics ({', '.join(ticks)})\n"
                 f"plot ${name} using 2:1:($3-$2):(0):4 with vectors nohead lw 3 lc rgb variable, "
                 f"${name} using 3:1:(0):(0.3):4 with vectors nohead lw 3 lc rgb variable, "
                 f"${name} using 3:1:(0):(-0.3):4 with vectors nohead lw 3 lc rgb variable, "
                 f"${name} using 2:1:4 with points pt 7 ps 0.9 lc rgb variable\n")
    return text + "unset multiplot\n"


def _panel(name: str, title: str, xlabel: str, ylabel: str,
           lines: Sequence[Tuple[str, str, List[Tuple[float, float]]]], more: str = "") -> str:
    """`lines` are title, colour and points; those without points are left out."""
    lines = [line for line in lines if line[2]]
    text = "".join(_block(f"{name}{number}", [f"{x:g} {y:.3f}" for x, y in points])
                   for number, (_, _, points) in enumerate(lines))
    text += (f'set title "{title}"\nset xlabel "{xlabel}" offset 0,0.6\nset ylabel "{ylabel}"\n'
             f"set logscale x\nset key below vertical maxrows 6 samplen 2\n{more}")
    if lines:
        text += "plot " + ", ".join(
            f'${name}{number} using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb "{colour}" '
            f'title "{line}"' for number, (line, colour, _) in enumerate(lines)) + "\n"
    return text


def in_flight(figures: Figures, output: str) -> str:
    """Calls a second by calls in flight."""
    text = HEAD.format(width=1100, height=500, output=output)
    for number, (plugin, lines) in enumerate(HOSTS):
        text += _panel(f"p{number}_", f"100 B calls to {plugin}", "calls in flight", "calls/s",
                       [(line.title, line.colour,
                         figures.points(line.key, BY_NUMBER, "rate", IN_FLIGHT)) for line in lines],
                       "set xtics (1, 8, 32, 256)\nset xrange [1:256]\nset yrange [0:*]\n")
    return text + "unset multiplot\n"


def throughput(figures: Figures, output: str) -> str:
    """Bytes a second by the size of messages."""
    text = HEAD.format(width=1100, height=500, output=output)
    sizes = [load.size for load in SIZES]
    for number, (plugin, lines) in enumerate(HOSTS):
        text += _panel(f"p{number}_", f"one call at a time to {plugin}", "bytes in a message",
                       "MB/s",
                       [(line.title, line.colour, figures.points(line.key, SIZES, "bytes", sizes))
                        for line in lines],
                       'set xtics ("100 B" 100, "4 KiB" 4096, "64 KiB" 65536, "1 MiB" 1048576)\n'
                       "set xrange [80:1300000]\nset logscale y\n")
    return text + "unset multiplot\n"


def scaling(figures: Figures, output: str) -> str:
    """The daemon's CPU time a call by the number of connections and of plugins."""
    text = HEAD.format(width=1100, height=500, output=output)
    titles = {"unary": "to one of them", "spread": "to all in turn"}
    colours = dict(zip(LOADS, (GREY, BLUE, ORANGE, GREEN)))
    for prefix, counts in (("connections", CONNECTIONS), ("plugins", PLUGINS)):
        lines = []
        for load in LOADS:
            points = [(count, figures.get(f"{prefix}-{count}", load, "middle_cpu"))
                      for count in counts]
            lines.append((f"{load.in_flight} in flight, {titles[load.kind]}", colours[load],
                          [point for point in points if point[1] is not None]))
        text += _panel(f"{prefix}_", f"the daemon's CPU time a call, by {prefix}", prefix, "µs",
                       lines, f"set xtics ({', '.join(map(str, counts))})\nset yrange [0:*]\n"
                       f"set xrange [1:{counts[-1]}]\n")
    return text + "unset multiplot\n"


PLOTS = {"latency": latency, "in-flight": in_flight, "throughput": throughput, "scaling": scaling}


def scripts(rows: Sequence[Row]) -> Dict[str, str]:
    """What gnuplot is told, by the name of the file that it writes."""
    figures = Figures(rows)
    return {f"{name}.svg": draw(figures, f"{name}.svg") for name, draw in PLOTS.items()}


def write(rows: Sequence[Row], directory: str, gnuplot: str) -> None:
    for name, script in scripts(rows).items():
        try:
            done = subprocess.run([gnuplot, "-"], input=script, text=True, cwd=directory,
                                  capture_output=True, timeout=TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DaemonError(f"gnuplot could not draw {name}: {error}") from None
        if done.returncode != 0 or not os.path.getsize(os.path.join(directory, name)):
            raise DaemonError(f"gnuplot could not draw {name}:\n{done.stderr}")
