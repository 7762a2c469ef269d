/** Ports that count what the runtime hands to them, and what a store hands back. */
import type { Mailbox, ObjectStore } from "@dormouse/core/ports";

/** What went one way since the counter was made. */
export interface Handed {
  calls: number;
  bytes: number;
}

export function countedMailbox(mailbox: Mailbox, handed: Handed): Mailbox {
  return {
    create: (partitions) => mailbox.create(partitions),
    append: (partition, bytes) => {
      count(handed, bytes);
      return mailbox.append(partition, bytes);
    },
    barrier: (partition, bytes) => {
      count(handed, bytes);
      return mailbox.barrier(partition, bytes);
    },
    read: (partition, from) => mailbox.read(partition, from),
    trim: (partition, below) => mailbox.trim(partition, below),
  };
}

/** @param read - What objects were got. Default: that is not counted. */
export function countedStore(store: ObjectStore, handed: Handed, read?: Handed): ObjectStore {
  return {
    get: async (name) => {
      const object = await store.get(name);
      if (read !== undefined && object !== undefined) count(read, object.bytes);
      return object;
    },
    put: (name, bytes, condition) => {
      count(handed, bytes);
      return store.put(name, bytes, condition);
    },
    list: (prefix, options) => store.list(prefix, options),
    delete: (names) => store.delete(names),
  };
}

function count(handed: Handed, bytes: Uint8Array): void {
  handed.calls += 1;
  handed.bytes += bytes.length;
}
