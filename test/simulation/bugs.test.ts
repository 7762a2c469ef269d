/** The deliberate bugs stay fit for the sources they are to break. Method: `git apply --check`; `npm run sim:bugs` runs them. */
import { expect, test } from "vitest";
import { apply, readBugs, root } from "./bugs.ts";

test.for(readBugs())("the bug $name still fits the sources", (bug) => {
  expect(() => apply(bug, root, true)).not.toThrow();
});
