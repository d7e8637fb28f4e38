"""What a timed peer says: a line of JSON whenever it is asked. contender.py asks, and reads it."""
import json
import resource
import sys


def add_on_request(parser):
    parser.add_argument("--on-request", choices=["yes", "no"], default="no",
                        help="time once for each line of standard input")


def answer(arguments, names, time_steps):
    """Prints the arguments of these names and what `time_steps` finds: once, or for each line of standard input."""
    for _ in sys.stdin if arguments.on_request == "yes" else [None]:
        line = {name: getattr(arguments, name) for name in names}
        line.update(time_steps())
        print(json.dumps(line), flush=True)


def peak_resident_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
