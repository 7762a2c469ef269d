/** Every port on one machine: in memory, and in a folder. */
export { realClock, realEntropy } from "./clock.ts";
export { hostNotRunning } from "./errors.ts";
export { connectFolder, type ConnectFolderOptions, type FolderClient } from "./folder-client.ts";
export { openHostFolder, type HostFolder, type HostFolderOptions } from "./host-folder.ts";
export { openFolder, type FolderOptions, type FolderRecord, type LocalFolder } from "./lmdb.ts";
export { lockFolder, readLockFile, type FolderLock, type Holder, type LockOptions } from "./lock.ts";
export { MemoryWorld, type MemoryPortsOptions, type StreamView } from "./memory.ts";
export { directWire, LostAnswer, type Call, type Wire } from "./wire.ts";
