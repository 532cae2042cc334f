"""The rules of the house that no linter knows, each a function from a module to complaints.

`tests/test_house.py` applies them; the exceptions and their reasons stand there.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

LINES_PER_MODULE = 400
LINES_PER_FUNCTION = 50
POSITIONAL_PARAMETERS = 4
"""Limits of size.  Source: style, "Size"."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)

BANNED_WORDS = frozenset(
    {"manager", "helper", "helpers", "util", "utils", "common", "data", "info", "impl", "handle"}
)
"""Words that say nothing about what a thing does.  Source: style, "Names"."""

WALL_CLOCKS = frozenset({"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"})
"""They jump.  Durations come from `trio.current_time`, stamps for people from here."""


@attrs.frozen
class Module:
    """One source file; *path* is relative to the root, with slashes."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, text: str, path: str = "gateway/example.py") -> "Module":
        """Return the module that *text* is; its nodes know their parents."""
        tree = ast.parse(text)
        for parent in ast.walk(tree):
            for child in ast.iter_child_nodes(parent):
                child.parent = parent
        return cls(path, text, tree)

    def place(self, line: int) -> str:
        """Return the name of the innermost definition around *line*: ``path:Class.method``."""
        around = (each for each in self.all(*DEFINITIONS) if each.lineno <= line <= each.end_lineno)
        return self.path + ":" + ".".join(each.name for each in around)

    def all(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield every node of one of *kinds*."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))


Complaint = tuple[int, str]
"""Line, and what is wrong there."""

Rule = Callable[[Module], Iterator[Complaint]]
RULES: dict[str, Rule] = {}
"""For the source."""
TEST_RULES: dict[str, Rule] = {}
"""For the tests."""


def rule(check: Rule) -> Rule:
    RULES[check.__name__.replace("_", " ")] = check
    return check


def rule_for_tests(check: Rule) -> Rule:
    TEST_RULES[check.__name__.replace("_", " ")] = check
    return check


def _ancestors(node: ast.AST) -> Iterator[ast.AST]:
    while node := getattr(node, "parent", None):
        yield node


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below *node*, without the bodies of functions defined there."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*FUNCTIONS, ast.Lambda)):
            yield from _inside(child)


def _caught(handler: ast.ExceptHandler) -> set[str]:
    """Return the last parts of the names that *handler* catches."""
    if handler.type is None:
        return {"BaseException"}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind).rpartition(".")[2] for kind in kinds}


@rule
def cancellation_is_never_caught(module: Module) -> Iterator[Complaint]:
    """A nursery raises a group of them, so the handler would fire or not by chance."""
    for handler in module.all(ast.ExceptHandler):
        if "Cancelled" in _caught(handler):
            yield handler.lineno, "use a cancel scope and its cancelled_caught"


@rule
def a_caught_base_exception_is_raised_again(module: Module) -> Iterator[Complaint]:
    for handler in module.all(ast.ExceptHandler):
        if not _caught(handler) & {"BaseException", "BaseExceptionGroup"}:
            continue
        if not any(isinstance(node, ast.Raise) and not node.exc for node in _inside(handler)):
            yield handler.lineno, "swallows cancellation and KeyboardInterrupt"


@rule
def bugs_fly_to_the_supervisor(module: Module) -> Iterator[Complaint]:
    for node in module.all(ast.ExceptHandler, ast.Call):
        if isinstance(node, ast.ExceptHandler):
            broad = _caught(node) & {"Exception", "ExceptionGroup"}
        else:
            broad = ast.unparse(node.func).endswith("suppress") and {"Exception"} & {
                ast.unparse(each) for each in node.args
            }
        if broad:
            yield node.lineno, "catches bugs; name the errors that are expected here"


@rule
def every_shield_has_a_deadline(module: Module) -> Iterator[Complaint]:
    """A deadline further out does not get through, so it must be the shield's own."""
    for call in module.all(ast.Call):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if given.get("shield", "False") == "False":
            continue
        timed = re.search(r"(move_on|fail)_(after|at)$", ast.unparse(call.func))
        limit = ast.unparse(call.args[0]) if timed and call.args else given.get("deadline", "inf")
        if limit.endswith("inf"):
            yield call.lineno, "cannot be stopped"
    for assignment in module.all(ast.Assign):
        target = ast.unparse(assignment.targets[0])
        if target.endswith(".shield") and ast.unparse(assignment.value) != "False":
            yield assignment.lineno, "say shield= where the scope and its deadline are made"


@rule
def durations_come_from_the_clock_of_trio(module: Module) -> Iterator[Complaint]:
    for node in module.all(ast.Attribute, ast.ImportFrom):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{each.name}" for each in node.names}
        else:
            names = {".".join(ast.unparse(node).split(".")[-2:])}
        if names & WALL_CLOCKS:
            yield node.lineno, "the wall clock jumps; stamps for people need an exception"


@rule
def modules_are_short(module: Module) -> Iterator[Complaint]:
    if (lines := len(module.text.splitlines())) > LINES_PER_MODULE:
        yield lines, f"{lines} lines, at most {LINES_PER_MODULE}"


@rule
def functions_are_short(module: Module) -> Iterator[Complaint]:
    for function in module.all(*FUNCTIONS):
        # As style measures it: without the docstring.
        first = function.body[1] if ast.get_docstring(function) and function.body[1:] else function
        lines = function.end_lineno - first.lineno + 1
        if lines > LINES_PER_FUNCTION:
            yield function.lineno, f"{function.name}: {lines} lines"


@rule
def few_parameters_are_positional(module: Module) -> Iterator[Complaint]:
    for function in module.all(*FUNCTIONS):
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        own = isinstance(function.parent, ast.ClassDef) and names[:1] in (["self"], ["cls"])
        if len(names) - own > POSITIONAL_PARAMETERS:
            yield function.lineno, f"{function.name}: {len(names) - own}"


@rule
def names_say_what_a_thing_does(module: Module) -> Iterator[Complaint]:
    named = [(1, Path(module.path).stem)]
    named += [(node.lineno, node.name) for node in module.all(*DEFINITIONS)]
    for line, name in named:
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
        if banned := BANNED_WORDS & {word.lower() for word in words}:
            yield line, f"{name}: {', '.join(banned)} is banned"


@rule
def what_is_public_is_documented(module: Module) -> Iterator[Complaint]:
    if not ast.get_docstring(module.tree):
        yield 1, "the module has no docstring"
    for node in module.all(*DEFINITIONS):
        around = list(_ancestors(node))
        private = any(getattr(each, "name", "").startswith("_") for each in (node, *around))
        local = any(isinstance(each, FUNCTIONS) for each in around)
        # The contract is said once: at the implementation, at the property.
        again = any(
            re.search(r"overload|\.setter$", ast.unparse(each)) for each in node.decorator_list
        )
        if not (private or local or again or ast.get_docstring(node)):
            yield node.lineno, f"{node.name} has no docstring"


@rule
def only_the_command_line_prints(module: Module) -> Iterator[Complaint]:
    for call in module.all(ast.Call):
        if ast.unparse(call.func) == "print" and not module.path.startswith("gateway/cli/"):
            yield call.lineno, "log it"


@rule
def nothing_global_changes(module: Module) -> Iterator[Complaint]:
    """A nursery in a global has no owner, and neither has any other mutable thing."""
    for node in module.all(ast.Global):
        yield node.lineno, f"global {', '.join(node.names)}"
    for node in module.tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and "nursery" in ast.unparse(node).lower():
            yield node.lineno, "a nursery belongs to the block that opens it"


@rule
def private_modules_stay_in_their_package(module: Module) -> Iterator[Complaint]:
    package = module.path.split("/")[0]
    for node in module.all(ast.Import, ast.ImportFrom):
        names = [each.name for each in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{name}" for name in names] if not node.level else []
        for name in names:
            top, *rest = name.split(".")
            if any(part.startswith("_") for part in rest) and top != package != "__future__":
                yield node.lineno, f"{name} is not the public face"


@rule
def a_suppressed_warning_says_why(module: Module) -> Iterator[Complaint]:
    silent = re.compile(r"#\s*(noqa(: *[A-Z0-9, ]+)?|type: ignore(\[[\w, -]+\])?|pragma: .*)\s*$")
    for number, line in enumerate(module.text.splitlines(), 1):
        if silent.search(line):
            yield number, "the reason belongs beside it"


@rule_for_tests
def doubles_are_real_parts(module: Module) -> Iterator[Complaint]:
    for node in module.all(ast.Import, ast.ImportFrom):
        if re.search(r"\bmock\b", ast.unparse(node)):
            yield node.lineno, "a mock agrees with everything; use the real part or one in memory"


@rule_for_tests
def no_test_waits_for_real_time(module: Module) -> Iterator[Complaint]:
    if module.path.startswith("tests/acceptance/"):
        return
    for call in module.all(ast.Call):
        if ast.unparse(call.func) == "time.sleep":
            yield call.lineno, "guesses how fast the machine is"


@rule_for_tests
def the_name_of_a_test_is_a_sentence(module: Module) -> Iterator[Complaint]:
    for function in module.all(*FUNCTIONS):
        if function.name.startswith("test_") and function.name.count("_") < 3:
            yield function.lineno, f"{function.name}: what does it promise?"
