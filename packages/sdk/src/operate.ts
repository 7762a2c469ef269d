/** For programs that operate an app rather than speak to its agents: its hosts, its making, options as all our programs read them. */
export {
  flagOf,
  type Kind,
  makeOption,
  makeSecret,
  type Option,
  readValue,
  textKind,
  type Value,
  variableOf,
  wantedOf,
} from "./option.ts";
export {
  defined,
  environmentSource,
  type Given,
  namesOf,
  optionFileError,
  optionValueError,
  readOptionFile,
  readOptions,
  secretOnLine,
  type Source,
  type Values,
} from "./option-values.ts";
export { partitionsOption, placeOptions, placesOf } from "./place-options.ts";
export { checkStore, type CheckStoreOptions } from "./check-store.ts";
export { createApp, type CreateAppOptions, type CreatedApp } from "./create-app.ts";
export type { DrainOptions } from "./drain.ts";
export { type AppStatus, connectOperator, type HostView, type Operator, type PartitionView } from "./operator.ts";
