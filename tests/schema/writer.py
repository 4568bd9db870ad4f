"""Documents written at random, to compare what a plan answers with what graphql-core does."""

import random
from typing import Any

from graphql import GraphQLSchema, get_named_type, is_abstract_type, is_leaf_type, is_union_type

MAX_DEPTH = 3


def write_document(
    schema: GraphQLSchema, seed: int, head: str, type_name: str, *, functions: bool
) -> str:
    """Return a document: `head`, with a selection of the type in place of its `%s`."""
    writer = _Writer(schema, seed, functions=functions)
    text = head % writer.selection(schema.type_map[type_name])
    return "\n".join([text, *writer.fragments])


class _Writer:
    """Writes a selection of a type's fields: aliases, fragments, repeats, `__typename`.

    Of an interface or a union it selects by fragments too, on types of it and on interfaces.
    """

    def __init__(self, schema: GraphQLSchema, seed: int, *, functions: bool) -> None:
        self._schema = schema
        self._random = random.Random(seed)
        self._functions = functions
        self.fragments: list[str] = []
        types: dict[str, set[str]] = {}
        for type_ in schema.type_map.values():
            for name, field in getattr(type_, "fields", {}).items():
                types.setdefault(name, set()).add(str(field.type))
        # Two types of one interface may have them: under one key they could not be selected.
        self._ambiguous = {name for name, found in types.items() if len(found) > 1}

    def selection(self, type_: Any, depth: int = 0) -> str:
        fields = {} if is_union_type(type_) else type_.fields
        names = [name for name in fields if self._fits(type_, name, depth)]
        chosen = self._random.choices(names, k=self._random.randint(1, 5 - depth)) if names else []
        if self._random.random() < 0.4 or not chosen:
            chosen.append("__typename")
        parts = [self._field(type_, name, number, depth) for number, name in enumerate(chosen)]
        for condition in self._conditions(type_) if depth < MAX_DEPTH else ():
            inner = self.selection(condition, depth + 1)
            if self._random.random() < 0.5:
                parts.append(f"... on {condition.name} {inner}")
                continue
            name = f"f{len(self.fragments)}"
            self.fragments.append(f"fragment {name} on {condition.name} {inner}")
            parts += [f"...{name}"] * self._random.choice([1, 1, 2])
        self._random.shuffle(parts)
        return "{ " + " ".join(parts) + " }"

    def _conditions(self, type_: Any) -> list[Any]:
        """Return the types on which to write fragments."""
        possible: list[Any] = [type_]
        if is_abstract_type(type_):
            objects = self._schema.get_possible_types(type_)
            possible += [*objects, *(found for each in objects for found in each.interfaces)]
        else:
            possible += type_.interfaces
        most = [0, 1, 2, 3] if is_abstract_type(type_) else [0, 0, 1]
        return self._random.choices(possible, k=self._random.choice(most))

    def _fits(self, type_: Any, name: str, depth: int) -> bool:
        field = type_.fields[name]
        definition = field.extensions["strawberry-definition"]
        if definition.base_resolver is not None and not self._functions:
            return False
        return is_leaf_type(get_named_type(field.type)) or depth < MAX_DEPTH - 1

    def _field(self, type_: Any, name: str, number: int, depth: int) -> str:
        alias = self._random.random() < 0.3
        text = f"a{depth}_{number}_{self._random.randint(0, 9999)}: {name}" if alias else name
        if name in self._ambiguous and not alias:
            text = f"{type_.name}_{name}: {name}"
        named = None if name == "__typename" else get_named_type(type_.fields[name].type)
        if named is not None and not is_leaf_type(named):
            # Under one key only once: two selections of random aliases may not merge.
            text = f"o{depth}_{self._random.randint(0, 10**9)}: {name}"
            text += " " + self.selection(named, depth + 1)
        return text
