/** `dormouse app create`: makes an app on a cluster before its first host does. */
import { createApp, environmentSource, partitionsOption, readOptions } from "@dormouse/sdk/operate";
import { type Call, type Command } from "./command.ts";
import { readPlaces } from "./places.ts";

export const appCreate: Command = {
  name: "app create",
  arguments: [],
  options: ["partitions", "json"],
  summary: "make an app on a cluster",
  help:
    "Makes app.json on the store and a stream on NATS for each partition. The first host of an app makes them too: this is " +
    "for deployments whose hosts may not. An app that is there stays as it is, and one with another number of partitions " +
    "is refused. Needs --mailbox and --store, and no host.",
  async run(call) {
    const { app, isNew } = await createApp({ ...readPlaces(call), ...partitionsOf(call) });
    const { name, birth, partitions } = app;
    const text = isNew
      ? `the app ${name} is made: ${partitions} partitions, each with its stream, and app.json (birth ${birth})`
      : `the app ${name} was there already, and is as it was: ${partitions} partitions, each with its stream (birth ${birth})`;
    call.output.result(text, { app: name, birth, partitions, created: isNew });
  },
};

/**
 * The line's `--partitions`, or what hosts take from the environment: an app of another number would refuse them.
 *
 * @throws DormouseError `invalid` (`config.value`).
 */
function partitionsOf({ options: { partitions: given }, environment }: Call): { readonly partitions?: number } {
  const source = { given: { partitions: given }, spell: (name: string) => `--${name}` };
  const { partitions } = readOptions([partitionsOption], [source, environmentSource([partitionsOption], environment)]);
  return partitions === undefined ? {} : { partitions: Number(partitions) };
}
