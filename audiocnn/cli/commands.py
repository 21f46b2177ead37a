"""What the modules of the subcommands share: the type of argparse's collection of them."""

import argparse
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # generic for type checkers only
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction
