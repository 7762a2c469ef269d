/** The options that say where agents live, the same for every program of ours: URLs, credentials, what a URL does not say. */
import type { NatsSettings, Places, S3Settings } from "./drivers.ts";
import { makeOption, makeSecret, type Option, textKind } from "./option.ts";
import { defined, optionValueError, type Values } from "./option-values.ts";

const path = textKind("the path of a file");

/** The app, its mailbox and its store. */
export const placeOptions: readonly Option[] = [
  makeOption("app", textKind("a name"), "default", "the app whose agents they are"),
  makeOption("store", textKind('a URL such as "s3://bucket/prefix"'), "file:./.dormouse", "where agents live"),
  makeOption("mailbox", textKind('a URL such as "nats://server:4222"'), "the store's folder", "where messages wait"),
  makeOption("natsUser", textKind("a name"), "none", "the user at NATS"),
  makeSecret("natsPassword", "that user's password"),
  makeSecret("natsToken", "a token, instead of a user"),
  makeSecret("natsNkeySeed", "the seed of an NKey, instead of a user"),
  makeOption("natsCredsFile", path, "none", "a credentials file as nsc writes it, instead of a user"),
  makeOption("natsCaFile", path, "none", "the PEM file of whoever vouches for the servers; makes TLS a must"),
  makeOption("natsCertFile", path, "none", "the PEM file of this program's own certificate"),
  makeOption("natsKeyFile", path, "none", "the PEM file of its key"),
  makeOption(
    "natsPrefix",
    textKind("1 to 32 letters, digits, - and _", /^[A-Za-z0-9_-]{1,32}$/),
    "dormouse",
    "the first token of every subject, stream and bucket",
  ),
  makeOption("natsReplicas", { is: "number", least: 1, most: 5 }, "3 in a cluster, else 1", "copies of each stream"),
  makeOption(
    "natsStreamBytesMax",
    { is: "number", least: 4_194_304, most: 1_099_511_627_776 },
    "268435456",
    "what one partition's stream may hold, in bytes; more is refused",
  ),
  makeOption(
    "s3Endpoint",
    textKind('a URL such as "https://s3.example.com"', /^https?:\/\/\S{1,4000}$/),
    "AWS",
    "where the store is, if it is not AWS",
  ),
  makeOption("s3Region", textKind("the name of a region"), "the AWS SDK's", "the bucket's region"),
  makeOption(
    "s3AccessKeyId",
    textKind("an access key's id"),
    "the AWS SDK's",
    "the access key; its secret goes with it",
  ),
  makeSecret("s3SecretAccessKey", "that key's secret"),
  makeSecret("s3SessionToken", "of credentials that are lent for a while"),
  makeOption(
    "s3ForcePathStyle",
    { is: "boolean" },
    "the AWS SDK's",
    "whether the bucket is named in the path, as most stores beside AWS want it",
  ),
];

/** Core has the same bound, and refuses what is above it. */
const partitionsMax = 4_096;

/** Of an app that is new. */
export const partitionsOption: Option = makeOption(
  "partitions",
  { is: "number", least: 1, most: partitionsMax },
  "32; 8 in a folder",
  "partitions of an app that is new; fixed for its life",
);

/**
 * Where agents live, as `startHost` and `connect` take it, from the values of `placeOptions`.
 *
 * @throws DormouseError `invalid` (`config.value`): options that go together, and one of them is missing.
 */
export function placesOf(values: Values): Places & { readonly app?: string } {
  const { app, mailbox, store } = values;
  return defined({ app, mailbox, store, nats: natsOf(values), s3: s3Of(values) });
}

function natsOf(values: Values): NatsSettings | undefined {
  const { natsUser, natsPassword, natsToken, natsNkeySeed, natsCredsFile, natsPrefix, natsReplicas } = values;
  const tls = defined({
    caFile: values["natsCaFile"],
    certFile: values["natsCertFile"],
    keyFile: values["natsKeyFile"],
  });
  const given = defined({
    user: natsUser,
    password: natsPassword,
    token: natsToken,
    nkeySeed: natsNkeySeed,
    credsFile: natsCredsFile,
    tls: isEmpty(tls) ? undefined : tls,
    prefix: natsPrefix,
    replicas: natsReplicas,
    streamBytesMax: values["natsStreamBytesMax"],
  });
  return isEmpty(given) ? undefined : given;
}

function s3Of(values: Values): S3Settings | undefined {
  const { s3Endpoint, s3Region, s3ForcePathStyle, s3AccessKeyId, s3SecretAccessKey, s3SessionToken } = values;
  if ((s3AccessKeyId === undefined) !== (s3SecretAccessKey === undefined)) {
    throw optionValueError("s3AccessKeyId and s3SecretAccessKey go together, and one of them is missing");
  }
  if (s3SessionToken !== undefined && s3AccessKeyId === undefined) {
    throw optionValueError("s3SessionToken goes with s3AccessKeyId and s3SecretAccessKey, which are missing");
  }
  const key = { accessKeyId: s3AccessKeyId, secretAccessKey: s3SecretAccessKey, sessionToken: s3SessionToken };
  const credentials = s3AccessKeyId === undefined ? undefined : defined(key);
  const given = defined({ endpoint: s3Endpoint, region: s3Region, forcePathStyle: s3ForcePathStyle, credentials });
  return isEmpty(given) ? undefined : given;
}

function isEmpty(values: object): boolean {
  return Object.keys(values).length === 0;
}
