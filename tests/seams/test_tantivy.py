"""tantivy: what the index of messages stands on (db/search/)."""

from pathlib import Path

from tantivy import FieldType, Index, Query, SchemaBuilder


def _index(path: Path) -> Index:
    builder = SchemaBuilder()
    builder.add_unsigned_field("id", indexed=True, fast=True)
    index = Index(builder.build(), str(path))
    index.config_reader("manual")
    return index


def _count(index: Index) -> int:
    index.reload()
    return index.searcher().num_docs


def test_a_number_is_deleted_by_a_query_alone(tmp_path: Path) -> None:
    index = _index(tmp_path)
    writer = index.writer(15_000_000, 1)
    for id_ in (1, 2):
        writer.add_json(f'{{"id": {id_}}}')
    writer.commit()
    writer.delete_documents_by_query(Query.term_set_query(index.schema, "id", [1]))
    writer.commit()
    assert _count(index) == 1
    writer.delete_documents_by_term("id", 2)  # finds no number that has no sign
    writer.commit()
    assert _count(index) == 1


def test_nothing_is_there_before_the_commit_and_all_of_it_afterwards(tmp_path: Path) -> None:
    index = _index(tmp_path)
    writer = index.writer(15_000_000, 1)
    writer.add_json('{"id": 1}')
    assert _count(index) == 0
    writer.commit()
    assert _count(_index(tmp_path)) == 1


def test_a_file_goes_when_each_of_its_messages_is_removed(tmp_path: Path) -> None:
    """Also those that are added once more in the same commit: their new file stays."""
    index = _index(tmp_path)
    writer = index.writer(15_000_000, 1)
    for id_ in (1, 2, 3):
        writer.add_json(f'{{"id": {id_}}}')
    writer.commit()
    before = {file.name for file in tmp_path.glob("*.term")}
    for first, last in ((2, 3), (1, 1)):
        theirs = Query.range_query(index.schema, "id", FieldType.Unsigned, first, last)
        writer.delete_documents_by_query(theirs)
        for id_ in range(first, last + 1):
            writer.add_json(f'{{"id": {id_}}}')
        writer.commit()
    assert before
    assert not before & {file.name for file in tmp_path.glob("*.term")}
    assert _count(index) == 3
