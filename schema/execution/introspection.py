"""Introspection: how long its lists are, and how a schema is hidden.

Suggestions ("Did you mean 'email'?") tell the names of fields to a client that guesses: a hidden
schema makes none.
"""

import re
from collections.abc import Iterable, Sequence

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLWrappingType,
    NoSchemaIntrospectionCustomRule,
    specified_rules,
)
from graphql.validation import ASTValidationRule

_SUGGESTIONS = re.compile(r"\s*Did you mean [^?]*\?")


def validation_rules(*, introspection: bool) -> Sequence[type[ASTValidationRule]]:
    """Return the rules that documents are validated by."""
    return specified_rules if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]


def hide_suggestions(errors: Iterable[GraphQLError]) -> None:
    """Remove from the messages the names that the document did not have."""
    for error in errors:
        error.message = _SUGGESTIONS.sub("", error.message)


def expected_sizes(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """Return how many items each list of introspection has: the mean over the schema's types."""
    types = [*schema.type_map.values()]
    objects = [type_ for type_ in types if isinstance(type_, GraphQLObjectType)]
    fields = [field for type_ in objects for field in type_.fields.values()]
    values = sum(len(type_.values) for type_ in types if isinstance(type_, GraphQLEnumType))
    arguments = [argument for field in fields for argument in field.args.values()]
    wrappers = sum(_wrappers(field.type) for field in fields)
    largest = max(len(type_.fields) for type_ in objects)
    return {
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): len(fields) / len(types),
        ("__Type", "enumValues"): values / len(types),
        ("__Type", "interfaces"): 1,
        ("__Type", "possibleTypes"): 1,
        ("__Type", "inputFields"): 1,
        ("__Type", "ofType"): wrappers / (wrappers + len(fields)),
        ("__Field", "args"): len(arguments) / len(fields),
        ("__Directive", "args"): 1,
        ("Query", "__type"): largest * len(types) / len(fields),  # counted as the largest type
    }


def _wrappers(type_: GraphQLOutputType) -> int:
    return 1 + _wrappers(type_.of_type) if isinstance(type_, GraphQLWrappingType) else 0
