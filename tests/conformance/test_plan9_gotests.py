"""How the output of Go's tests is read, what is done where a test takes the program with it, and the page that is made."""

from __future__ import annotations

from conformance.plan9 import report
from conformance.plan9.gotests import FAIL, PASS, SKIP, Results, Run, read, run_tests

OUTPUT = """\
=== RUN   TestGood
--- PASS: TestGood (0.00s)
=== RUN   TestWithin
=== RUN   TestWithin/one
    x_test.go:3: no
--- FAIL: TestWithin (0.01s)
    --- FAIL: TestWithin/one (0.00s)
=== RUN   TestLater
=== PAUSE TestLater
=== RUN   TestSkipped
    x_test.go:9: not here
--- SKIP: TestSkipped (0.00s)
=== RUN   ExampleOne
printed without an end of line--- PASS: ExampleOne (0.00s)
=== CONT  TestLater
"""


def test_results_are_those_of_whole_tests_and_who_runs_at_the_end_is_told() -> None:
    found, running = read(OUTPUT)
    assert found == {"TestGood": PASS, "TestWithin": FAIL, "TestSkipped": SKIP, "ExampleOne": PASS}
    assert running == {"TestLater"}
    paused = OUTPUT.replace("=== CONT  TestLater\n", "")
    assert read(paused)[1] == set()


def test_after_a_crash_the_other_tests_are_run_without_the_one_that_crashed() -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str]) -> Run:
        asked.append(arguments)
        if arguments[0] == "-test.list":
            return Run("TestA\nTestB\nTestC\nok  \tx\t0.1s\n", "", 0.1)
        if arguments[-1] == "-test.short":
            said = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\npanic: wrong\n\ngoroutine 1\n"
            return Run(said, "2", 1.0)
        assert arguments[-1] == "^(TestC)$"
        return Run("=== RUN   TestC\n--- FAIL: TestC (0.00s)\n    c.go:1: no\nFAIL\n", "1", 2.0)

    results = run_tests(run)
    assert results.tests == {"TestA": PASS, "TestB": FAIL, "TestC": FAIL}
    assert "panic: wrong" in results.notes["TestB"]
    assert "c.go:1: no" in results.notes["TestC"]
    assert results.seconds == 3.0
    assert results.problem == ""
    assert len(asked) == 3


def test_a_program_that_lists_nothing_or_dies_at_once_is_a_problem() -> None:
    assert "lists no tests" in run_tests(lambda _: Run("Segmentation fault\n", "11", 0.0)).problem
    died = run_tests(
        lambda arguments: Run("TestA\n" if arguments[0] == "-test.list" else "fatal error: no\n", "2", 0.0)
    )
    assert died.tests == {}
    assert "fatal error: no" in died.problem


def test_the_page_tells_numbers_and_every_failure() -> None:
    found: dict[str, object] = {}
    report.record(found, "sort", "plan9", Results({"TestA": PASS, "TestB": FAIL, "TestC": SKIP}, {}, 1.25))
    report.record(found, "sort", "linux", Results({"TestA": PASS, "TestB": PASS, "TestD": PASS}, {}, 0.5))
    page = report.document(found, "go1.19")
    assert "| sort | 1 | 1 | 1 | 1.2 | 3 | 0 | 0 | 0.5 |" in page
    assert "| sort | TestB | passes |" in page
    assert "TestA" not in page
