/** `dormouse store probe`: tries whether a store keeps what agents rest on. */
import { checkStore } from "@dormouse/sdk/operate";
import type { Command } from "./command.ts";
import { readPlaces } from "./places.ts";

const meanings = {
  create: "a new name is created",
  "refuse-create": "a name that is taken is not created again",
  swap: "what is there is replaced by who knows its ETag",
  "refuse-stale": "and not by who knows an older one",
  "concurrent-create": "of many who create one name at once, one does",
};

export const storeProbe: Command = {
  name: "store probe",
  arguments: [],
  options: ["json"],
  summary: "try whether a store is fit for agents",
  help:
    "Tries the conditional writes that agents rest on, each host does it when it starts too, below names of its own that it " +
    "deletes again. Prints each check that the store has passed; the one that it fails is the error. Needs the --store, a " +
    "folder that is there or a bucket, and neither NATS nor a host.",
  async run(call) {
    const { store, s3, app } = readPlaces(call);
    await checkStore({
      ...(store === undefined ? {} : { store }),
      ...(s3 === undefined ? {} : { s3 }),
      ...(app === undefined ? {} : { app }),
      passed: (check) => {
        call.output.result(`${call.output.paint("green", "ok")}  ${check.padEnd(18)} ${meanings[check]}`, {
          check,
          passed: true,
        });
      },
    });
    call.output.note("the store is fit");
  },
};
