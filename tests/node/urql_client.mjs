// urql (package @urql/core) as it comes, with subscriptions over fetch, driven by JSON lines.
//
// urql_client.mjs URL '{"headers": {...}}'
//   commands: {command: "query", id, query, variables?}, {command: "mutate", …the same},
//             {command: "subscribe", …the same}
//   messages: result {id, data?, error?}, next {id, data?, error?}, accept {value}
import { Client, fetchExchange } from "@urql/core";
import { commandLine, print, serve } from "./lines.mjs";

const [url, { headers }] = commandLine("urql_client.mjs URL [OPTIONS]");
const client = new Client({
  url,
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
  fetchOptions: { headers },
  fetch: (address, options) => {
    print({ type: "accept", value: new Headers(options.headers).get("accept") });
    return fetch(address, options);
  },
});

function told({ data, error }) {
  return { data: data ?? null, error: error ? String(error) : null };
}

async function once(operation, { id, query, variables }) {
  print({ type: "result", id, ...told(await operation(query, variables ?? {}).toPromise()) });
}

serve(
  {
    query: (message) => once((query, variables) => client.query(query, variables), message),
    mutate: (message) => once((query, variables) => client.mutation(query, variables), message),
    subscribe: ({ id, query, variables }) =>
      client
        .subscription(query, variables ?? {})
        .subscribe((result) => print({ type: "next", id, ...told(result) })),
  },
  () => {},
);
