"""From a document to its results: parsed, bounded, validated, compiled to a plan, executed."""
