"""Check the contract of an adapter, one line a rule; exit status 1 if one does not hold."""

import argparse
import secrets
import time
from importlib.util import find_spec

from epoch_gap.profiler.commands.shared.exit_status import RULES_BROKEN
from epoch_gap.profiler.commands.shared.options import FRAMEWORK, add_network, framework_name, network_of, parse_seed
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.workloads import contract, registry
from epoch_gap.workloads.cifar10.load import load_cifar10
from epoch_gap.workloads.contract_subject import BATCH_SIZE, Subject
from epoch_gap.workloads.framework import Framework

REFERENCE = "torch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("framework", type=framework_name, metavar="FRAMEWORK", help=FRAMEWORK)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|gpu|mps|cuda", help="default: auto")
    add_network(parser)
    parser.add_argument("--compile", action="store_true", help="check the training step compiled into one function")
    parser.add_argument("--seed", type=parse_seed, default=42, metavar="N", help="random seed (default: 42)")
    parser.add_argument("--allow-busy", action="store_true", help="run even if a timed run is in progress")


def execute(args: argparse.Namespace) -> int:
    """Print the outcome of each rule as soon as it is known."""
    entry = registry.find_entry(args.framework)
    if entry.is_scripted:
        raise UserError(f"{args.framework} is scripted: it computes nothing that could be checked")
    with hold_run_lock(secrets.token_hex(4), allow_others=args.allow_busy):
        return _check(args)


def _check(args: argparse.Namespace) -> int:
    def build(name: str, device: str, compiled: bool) -> Framework:
        options = registry.Options(
            device=device, seed=args.seed, batch_size=BATCH_SIZE, network=network_of(args), compiled=compiled
        )
        return registry.create(name, options)

    images = BATCH_SIZE * contract.PARITY_STEPS
    subject = Subject(
        build=lambda: build(args.framework, args.device, args.compile),
        reference=(lambda: build(REFERENCE, "cpu", False)) if find_spec(REFERENCE) else None,
        data=load_cifar10("synthetic", train_limit=images, test_limit=1, image_size=args.image_size),
        clock=time.perf_counter_ns,
    )
    outcomes: list[contract.Outcome] = []
    for rule in contract.RULES:
        outcomes.append(contract.check_rule(rule, subject))
        print(_describe(outcomes[-1]), flush=True)
        if outcomes[0].is_broken:
            break
    return RULES_BROKEN if any(outcome.is_broken for outcome in outcomes) else 0


def _describe(outcome: contract.Outcome) -> str:
    state = "FAIL" if outcome.is_broken else "ok" if outcome.is_applicable else "n/a"
    return f"{state:4}  {outcome.rule}: {outcome.text}"
