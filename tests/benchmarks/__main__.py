"""Measure, print, and write the page: ``nox -s bench``.

nox -s bench                                  # everything; writes the page
nox -s bench -- --cases digits --repeats 3    # a part; prints it
nox -s bench -- --measures mapped --gigabytes 4
nox -s bench -- --device cuda                 # on a machine with an NVIDIA GPU
nox -s bench -- --render build/bench.json     # writes the page of an earlier run

"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from . import measures, report
from .cases import CASES
from .contestants import CONTESTANTS
from .runner import Runner

MEASURES = {**measures.MEASURES, "mapped": measures.mapped}


def names_among(known: dict[str, object], text: str) -> list[str]:
    """Split names at commas, and check them."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            msg = f"{name!r} is none of {', '.join(known)}"
            raise argparse.ArgumentTypeError(msg)
    return names


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what isn't named is everything."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--device", choices=CONTESTANTS, default="cpu")
    parser.add_argument("--cases", type=partial(names_among, CASES))
    parser.add_argument("--measures", type=partial(names_among, MEASURES))
    parser.add_argument("--contestants", help="names, between commas")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds")
    parser.add_argument("--gigabytes", type=float, default=0.5, help="of a memory map")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--render", type=Path, help="an earlier run's JSON")
    chosen = parser.parse_args(arguments)
    known = CONTESTANTS[chosen.device]
    try:
        chosen.contestants = names_among(known, chosen.contestants or ",".join(known))
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    part = chosen.cases is not None or chosen.measures is not None
    # Only the whole goes into the page.
    chosen.whole = not part and chosen.contestants == list(known)
    if not part:
        chosen.cases = list(CASES)
        chosen.measures = list(MEASURES) if chosen.device == "cpu" else []
    chosen.cases, chosen.measures = chosen.cases or [], chosen.measures or []
    return chosen


def run(chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Measure what was chosen."""
    with Runner(
        folder, chosen.device, chosen.contestants, chosen.repeats, chosen.warm_up
    ) as runner:
        found: dict[str, object] = {"steps": {}, "measures": {}}
        about = {**report.machine(chosen.device), **measures.about(runner)}
        if about["load"] > 0.5:
            sys.stderr.write(f"The machine is busy: load {about['load']:.1f}.\n")
        found["about"] = about | {"repeats": chosen.repeats, "device": chosen.device}
        found["left_out"] = runner.left_out
        for case in chosen.cases:
            sys.stderr.write(f"{case} …\n")
            found["steps"][case] = measures.steps(runner, case)
            keep(found, chosen.json)
        for name in chosen.measures:
            sys.stderr.write(f"{name} …\n")
            extra = (chosen.gigabytes,) if name == "mapped" else ()
            found["measures"][name] = MEASURES[name](runner, *extra)
            keep(found, chosen.json)
        return found


def keep(found: dict[str, object], path: Path) -> None:
    """Write what was found so far: a run takes long, and may be cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the command."""
    chosen = parse(arguments)
    if chosen.render:
        found = json.loads(chosen.render.read_text(encoding="utf-8"))
        report.write(found)
        return 0
    if chosen.device == "cuda" and (problem := report.no_gpu()):
        sys.stderr.write(f"No GPU: {problem}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        found = run(chosen, Path(folder))
    sys.stdout.write(report.rendered(found) + "\n")
    if chosen.whole:
        report.write(found)
    sys.stderr.write(f"Wrote {chosen.json}{' and the page' * chosen.whole}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
