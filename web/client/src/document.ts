/** An operation of GraphQL: its text, and the types of its answer and of its variables. */
export interface Document<Data, Variables> {
  readonly kind: "query" | "mutation" | "subscription";
  readonly text: string;
  /** Never set: it carries the types alone. */
  readonly types?: (variables: Variables) => Data;
}
