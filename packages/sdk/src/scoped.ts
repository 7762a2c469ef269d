/** The objects of one app among those of many: its names begin with the app's. */
import type { ObjectStore } from "@dormouse/core/ports";

/** A store as it looks below a prefix. */
export function scoped(store: ObjectStore, prefix: string): ObjectStore {
  return {
    ...(store.isRemote === undefined ? {} : { isRemote: store.isRemote }),
    get: (name) => store.get(prefix + name),
    put: (name, bytes, condition) => store.put(prefix + name, bytes, condition),
    list: async (below, { after, ...options } = {}) => {
      const names = await store.list(
        prefix + below,
        after === undefined ? options : { ...options, after: prefix + after },
      );
      return names.map((name) => name.slice(prefix.length));
    },
    delete: (names) => store.delete(names.map((name) => prefix + name)),
  };
}
