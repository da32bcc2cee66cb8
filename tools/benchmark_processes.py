"""What the benchmarks share: measured processes, the processor's name, and the weights that `detect` runs.

Used by benchmark_peers.py and benchmark_growth.py, by way of import. This module and those that import it hold little memory
themselves: Linux counts what a process held before it became another program among the other's peak.
"""

import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time

# What `detect convert` is told for each precision that is measured; FOLDER stands for the folder of `prepare inputs`.
DETECT_PRECISIONS = {
    "f32": ["--dtype", "f32"],
    "bf16": ["--dtype", "bf16"],
    "int8": ["--dtype", "int8", "--calibrate", "FOLDER/calibration"],
}


class Failure(Exception):
    """A process that did not do its work. `str` is one line that says why; `details` is the end of its standard error."""

    def __init__(self, reason, details=""):
        super().__init__(reason)
        self.details = details


def measured(command):
    """(seconds, peak resident memory in bytes, standard output) of a new process. Raises Failure."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        except OSError as error:
            raise Failure(f"{command[0]}: {error.strerror}") from error
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise failure(process.returncode, errors.read().decode(errors="replace"))
        return seconds, 1024 * usage.ru_maxrss, output.read().decode()


def failure(status, errors):
    """What a process's exit status (negative: the signal that ended it) and standard error say, as a Failure."""
    if status == -signal.SIGKILL:
        return Failure("killed, as the system does when memory runs out", errors[-4000:])
    if status < 0:
        return Failure(f"ended by {signal.Signals(-status).name}", errors[-4000:])
    traceback = "Traceback (most recent call last):\n"
    lines = [line for line in errors.rpartition(traceback)[2].splitlines() if line.strip()]
    if traceback in errors:  # what was raised comes after the indented lines
        reasons = [line for line in lines if not line.startswith(" ")]
    else:
        reasons = [line for line in lines if "error:" in line.lower()]
    reason = (reasons or lines[-1:] or [f"ended with status {status}"])[0].strip()
    return Failure(reason if len(reason) <= 160 else reason[:157] + "...", errors[-4000:])


def peer_command(action, *arguments):
    """The command line of peer_networks.py, in this Python."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer_networks.py")
    return [sys.executable, "-W", "ignore", script, action, *map(str, arguments)]


def converted(detect, folder, checkpoint, precision):
    """The path of `checkpoint` as `detect` runs it in one of DETECT_PRECISIONS, made beside it. Raises Failure."""
    path = os.path.join(os.path.dirname(checkpoint), f"{precision}.bin")
    arguments = [argument.replace("FOLDER", folder) for argument in DETECT_PRECISIONS[precision]]
    measured([detect, "convert", checkpoint, "--output", path, *arguments])
    return path


def log(message):
    print(message, file=sys.stderr, flush=True)


def counted(number, noun):
    """"1 round", "7 rounds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def processors():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor():
    """The processor's name, as the system has it: "AMD EPYC"."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def slug(name):
    """A processor's name as part of a folder's: "Intel(R) Xeon(R) Platinum 8480C CPU @ 2.00GHz" is intel-xeon-platinum-8480c."""
    name = re.sub(r"@.*|\((r|tm|c)\)|\b(cpu|processor|[0-9]+-core)\b", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "unknown"
