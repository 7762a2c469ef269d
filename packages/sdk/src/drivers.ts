/** From a URL to what drives it. */
import { fileURLToPath } from "node:url";
import { DormouseError } from "@dormouse/core";

const folderDefault = "file:./.dormouse";

/** The folder that a store's URL names. @throws DormouseError `invalid` (`store.url`). */
export function folderOf(url: string = folderDefault): string {
  if (url.startsWith("file://")) return fileURLToPath(url);
  const path = url.startsWith("file:") ? url.slice("file:".length) : "";
  if (path !== "") return path;
  throw new DormouseError(
    "invalid",
    "store.url",
    `a store is named by a URL such as "file:./.dormouse"; other kinds come later: store=${url}`,
  );
}
