/** The object store on S3-compatible storage. */
export { openS3Store, type S3Credentials, type S3Options, type S3Store } from "./object-store.ts";
