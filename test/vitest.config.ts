import { defineConfig } from "vitest/config";

const sourceConditions = { ssr: { resolve: { conditions: ["@dormouse/source"] } } };

// Time-outs end what hangs; they stand far from what a test takes, on a busy machine too.
export default defineConfig({
  root: new URL("..", import.meta.url).pathname,
  test: {
    projects: [
      {
        ...sourceConditions,
        test: {
          name: "unit",
          testTimeout: 30_000,
          include: [
            "packages/*/src/**/*.test.ts",
            "services/*/src/**/*.test.ts",
            "examples/**/*.test.ts",
            "test/*.test.ts",
            "test/formats/**/*.test.ts",
            "test/fuzz/**/*.test.ts",
            "test/types/**/*.test.ts",
            "test/simulation/**/*.test.ts",
          ],
        },
      },
      {
        ...sourceConditions,
        test: { name: "examples", include: ["test/examples/**/*.test.ts"], testTimeout: 180_000, hookTimeout: 60_000 },
      },
      {
        ...sourceConditions,
        test: { name: "servers", include: ["test/servers/**/*.test.ts"], testTimeout: 180_000, hookTimeout: 60_000 },
      },
      {
        ...sourceConditions,
        test: { name: "process", include: ["test/process/**/*.test.ts"], testTimeout: 240_000, hookTimeout: 60_000 },
      },
      {
        ...sourceConditions,
        test: { name: "cluster", include: ["test/cluster/**/*.test.ts"], testTimeout: 900_000 },
      },
    ],
  },
});
