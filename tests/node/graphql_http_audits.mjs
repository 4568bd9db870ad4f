// Audit a GraphQL endpoint with the graphql-http package and print one JSON object.
import { serverAudits } from "graphql-http";
import { commandLine, print } from "./lines.mjs";

const [url] = commandLine("graphql_http_audits.mjs URL");
const report = { total: 0, ok: 0, notice: [], warn: [], error: [] };

for (const audit of serverAudits({ url })) {
  const result = await audit.fn();
  report.total += 1;
  if (result.status === "ok") {
    report.ok += 1;
  } else {
    report[result.status].push({ id: result.id, name: result.name, reason: result.reason });
  }
}
print(report);
