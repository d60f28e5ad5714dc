"""Trim a GraphQL schema to the root fields that our operations use, with every type that these reach, whole.

    python tests/contracts/trim.py schema.json > tests/contracts/railway/schema.graphql

Reads an introspection answer (.json) or a schema (.graphql); the same input gives the same bytes.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_client_schema,
    build_schema,
    get_named_type,
    lexicographic_sort_schema,
    parse,
    print_schema,
)


def read(file: Path) -> GraphQLSchema:
    """A schema from a file, as it was published: Railway's calls a field deprecated that its interface does not."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        return build_client_schema(json.loads(text)["data"], assume_valid=True)
    return build_schema(text, assume_valid=True)


def root_fields(operations: Iterable[str]) -> set[str]:
    """The fields of Query and Mutation that operations select."""
    return {
        selection.name.value
        for text in operations
        for definition in parse(text).definitions
        for selection in definition.selection_set.selections
        if isinstance(selection, FieldNode)
    }


def trimmed(schema: GraphQLSchema, wanted: set[str]) -> str:
    """The schema as text, its roots cut to the wanted fields. Types keep all their fields."""

    def cut(root: GraphQLObjectType) -> GraphQLObjectType:
        fields: dict[str, GraphQLField] = {name: root.fields[name] for name in sorted(wanted) if name in root.fields}
        return GraphQLObjectType(root.name, fields)

    assert schema.query_type
    assert schema.mutation_type
    reached = GraphQLSchema(query=cut(schema.query_type), mutation=cut(schema.mutation_type))
    implementing = [
        one
        for one in schema.type_map.values()
        if any(get_named_type(face).name in reached.type_map for face in getattr(one, "interfaces", ()))
    ]
    whole = GraphQLSchema(query=reached.query_type, mutation=reached.mutation_type, types=implementing)
    return print_schema(lexicographic_sort_schema(whole)) + "\n"


if __name__ == "__main__":
    from server.railway.operations import MUTATIONS, QUERIES

    sys.stdout.write(trimmed(read(Path(sys.argv[1])), root_fields([*QUERIES.values(), *MUTATIONS.values()])))
