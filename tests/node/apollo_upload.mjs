// Upload files with the packages @apollo/client and apollo-upload-client; print what came of each.
//
// apollo_upload.mjs URL '{"token": …, "preflight": {header: value}}'
import { ApolloClient, CombinedGraphQLErrors, InMemoryCache, gql } from "@apollo/client";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import { commandLine, print } from "./lines.mjs";

const [uri, { token, preflight }] = commandLine("apollo_upload.mjs URL OPTIONS");
const client = new ApolloClient({
  cache: new InMemoryCache(),
  // The cache tells fields apart by their arguments as JSON: all files are the same there.
  defaultOptions: { mutate: { fetchPolicy: "no-cache" } },
  link: new UploadHttpLink({ uri, headers: { ...preflight, Authorization: `Bearer ${token}` } }),
});

const FIELDS = "{ id kind filename mediaType size sha256 width height }";
const ONE = gql`mutation One($file: Upload!) { uploadAttachment(file: $file) ${FIELDS} }`;
const TWO = gql`mutation Two($a: Upload!, $b: Upload!) {
  a: uploadAttachment(file: $a) ${FIELDS}
  b: uploadAttachment(file: $b) ${FIELDS}
}`;
const SEND = gql`mutation Send($id: ID!) {
  sendMessage(kind: FILE, attachmentId: $id, content: "by Apollo") { kind content attachment { id } }
}`;
const ME = gql`query Me { me { id } }`;

async function run(name, operation) {
  try {
    const { data } = await operation();
    print({ name, data });
    return data;
  } catch (error) {
    const graphQL = CombinedGraphQLErrors.is(error);
    print({ name, errors: graphQL ? error.errors : [{ message: String(error) }] });
  }
}

const text = new File(["hello from Apollo"], "grüße 🎉.txt", { type: "image/png" });
const uploaded = await run("one", () =>
  client.mutate({ mutation: ONE, variables: { file: text } }),
);
await run("two", () =>
  client.mutate({ mutation: TWO, variables: { a: text, b: new File(["other"], "b.txt") } }),
);
// The same file twice is sent once, and mapped to two places.
await run("same", () => client.mutate({ mutation: TWO, variables: { a: text, b: text } }));
await run("blob", () =>
  client.mutate({ mutation: ONE, variables: { file: new Blob(["a blob"]) } }),
);
await run("no file", () => client.mutate({ mutation: ONE, variables: { file: "text" } }));
await run("plain", () => client.query({ query: ME }));
if (uploaded) {
  const id = uploaded.uploadAttachment.id;
  await run("send", () => client.mutate({ mutation: SEND, variables: { id } }));
}
