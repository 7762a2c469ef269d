/** From a URL to what drives it. */
import { fileURLToPath } from "node:url";
import { DormouseError } from "@dormouse/core";

const folderDefault = "file:./.dormouse";

/** The folder that a store's URL names. @throws DormouseError `invalid` (`store.url`). */
export function folderOf(url: string = folderDefault): string {
  const path = pathOf(url);
  if (path !== undefined) return path;
  throw new DormouseError(
    "invalid",
    "store.url",
    `a store is named by a URL such as "file:./.dormouse" or "file:///var/dormouse"; other kinds come later: ` +
      `store=${url}`,
  );
}

/** `undefined` for whatever else plain JavaScript may give. */
function pathOf(url: unknown): string | undefined {
  if (typeof url !== "string" || !url.startsWith("file:") || url === "file:" || url === "file://") return undefined;
  if (!url.startsWith("file://")) return url.slice("file:".length);
  try {
    return fileURLToPath(url);
  } catch {
    // Of another machine, or with a slash inside a name.
    return undefined;
  }
}
