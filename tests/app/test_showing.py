"""What a start has to show to a person, such as the first admin key, is shown whatever becomes of the start."""

from pathlib import Path

from tests.app.process_tree import ProcessTree, until


def test_the_first_admin_key_is_shown_at_the_end_of_a_tree_that_never_stood(tmp_path: Path) -> None:
    tree = ProcessTree(tmp_path / "data", engine=True, published=False, worker_entry="no_such_module:run", workers=1)
    try:
        tree.pid_of("engine")
        assert "admin key" not in tree.log.read_text()
        tree.process.terminate()
        until(lambda: tree.process.poll() is not None, "the end of the tree")
        assert tree.log.read_text().count("admin key      sk-sp-") == 1
    finally:
        tree.end()
