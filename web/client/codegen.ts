import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "../../schema/schema.graphql",
  documents: "src/documents/*.graphql",
  generates: {
    "src/generated.ts": {
      plugins: ["typescript-operations", "./codegen-documents.mjs"],
      config: {
        enumsAsTypes: true,
        onlyOperationTypes: true,
        skipTypename: true,
        immutableTypes: true,
        avoidOptionals: { field: true },
        scalars: { DateTime: "string", ID: "string", Upload: "Blob", JSON: "unknown" },
      },
    },
  },
};

export default config;
