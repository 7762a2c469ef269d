/**
 * Where the agents of a line live: its flags over the environment, both as the host process reads them.
 *
 * Leaves to others: what there is to give (sdk's `placeOptions`), whether URLs go together (`connect`).
 */
import type { Places } from "@dormouse/sdk";
import {
  environmentSource,
  flagOf,
  type Given,
  placeOptions,
  placesOf,
  readOptions,
  variableOf,
  wantedOf,
} from "@dormouse/sdk/operate";

export type Environment = { readonly [variable: string]: string | undefined };

/** Each flag, and the name of what it gives; of a secret, its file's alone. */
export const placeFlags: readonly (readonly [flag: string, name: string])[] = placeOptions.map(({ name, isSecret }) => {
  const given = isSecret ? `${name}File` : name;
  return [flagOf(given), given];
});

/**
 * A line that names a folder means this folder, wherever the environment's agents live; credentials in the environment
 * are nothing to a folder either.
 *
 * @throws DormouseError `invalid` (`config.value`, `config.file`).
 */
export function readPlaces({
  placeFlags: given,
  environment,
}: {
  readonly placeFlags: Given;
  readonly environment: Environment;
}): Places & { readonly app?: string } {
  const line = { given, spell: (name: string) => `--${flagOf(name)}` };
  const fromEnvironment = environmentSource(placeOptions, environment);
  const isFolderNamed = given["mailbox"] === undefined && String(given["store"]).startsWith("file:");
  const { app, store, mailbox } = fromEnvironment.given;
  const places = isFolderNamed ? { app } : { app, store, mailbox };
  const isFolder = isFolderNamed || [given, places].every((one) => !isCluster(one));
  const second = isFolder ? { ...fromEnvironment, given: places } : fromEnvironment;
  return placesOf(readOptions(placeOptions, [line, second]));
}

function isCluster({ mailbox, store }: Given): boolean {
  return mailbox !== undefined || String(store).startsWith("s3:");
}

/** The flags that every command's help tells. */
export const placeHelp: readonly (readonly [usage: string, meaning: string])[] = [
  ["--store <url>", 'where the agents live: a folder (default "file:./.dormouse"), or "s3://bucket/prefix"'],
  ["--mailbox <url>", 'of a cluster: its NATS servers, "nats://server:4222", several by comma'],
  ["--app <name>", 'the app whose agents they are (default "default")'],
];

/** `dormouse help cluster`. */
export function clusterHelp(): string {
  return [
    "Agents live in a folder, or in a cluster: messages on NATS, what agents are in an S3 store.",
    "",
    "A client of a cluster needs its --mailbox; it needs its --store too where no host runs. The options are those of",
    "dormouse-host, each on the line or in the environment, where the line wins. A --store on the line that is a folder",
    "means that folder, whatever the environment says.",
    "",
    ...placeOptions.flatMap(({ name, kind, default: byDefault, meaning, isSecret }) => {
      const given = isSecret ? `${name}File` : name;
      const alone = isSecret ? `, or itself in ${variableOf(name)}` : "";
      return [
        `  --${flagOf(given)}  ${variableOf(given)}${alone}`,
        `      ${meaning}; ${wantedOf(kind)} (default: ${byDefault})`,
      ];
    }),
    "",
  ].join("\n");
}
