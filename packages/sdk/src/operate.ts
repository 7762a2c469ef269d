/** For programs that operate an app rather than speak to its agents: options as every program of ours reads them. */
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
  type Source,
  type Values,
} from "./option-values.ts";
export { partitionsOption, placeOptions, placesOf } from "./place-options.ts";
